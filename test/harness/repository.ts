import { randomBytes } from 'node:crypto';
import { aesKeyOf } from '../../lib/encryption/aes-key.ts';
import { type KeySet, keySetOfAesKey } from '../../lib/encryption/key-set.ts';
import type { BackupFacts } from '../../lib/repository/manifest.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type {
  BackupRequest,
  Repository,
  RepositorySettings,
  SnapshotHistory,
  SoundBackup,
} from '../../lib/repository/repository.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { chunksOf } from './byte-stream.ts';
import { type SmallSnapshot, smallSnapshot } from './small-snapshot.ts';

/** A clock that stands still until it is moved. */
export class TestClock {
  now: Date;

  constructor(now = new Date()) {
    this.now = now;
  }

  readonly read = (): Date => new Date(this.now);

  advance(ms: number): void {
    this.now = new Date(this.now.getTime() + ms);
  }
}

export const HOUR_MS = 3_600_000;

/** The same keys in every process of a run; not secret. */
export function testKeys(fill = 7): KeySet {
  return keySetOfAesKey(aesKeyOf(Buffer.alloc(32, fill)));
}

/** Settings without keys; give `testKeys()`' parts over them. */
export function repositorySettings(
  store: ObjectStore,
  over: Partial<RepositorySettings> = {},
): RepositorySettings {
  return { store, clock: () => new Date(), randomBytes, tool: 'etcdguardian test', ...over };
}

export const ETCD_CLUSTER = 0xcdf818194e3a8c32n;

export interface BackUpOptions {
  readonly request?: Partial<BackupRequest>;
  readonly facts?: Partial<BackupFacts>;
  readonly history?: SnapshotHistory;
  readonly attachments?: Readonly<Record<string, Buffer>>;
}

/** Backs `snapshot` up, as lib/backup does after it has verified it. */
export async function backUp(
  repository: Repository,
  snapshot: SmallSnapshot,
  { request, facts, history, attachments = {} }: BackUpOptions = {},
): Promise<SoundBackup> {
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: ETCD_CLUSTER,
    clusterRevision: snapshot.revision,
    ...request,
  });
  await writer.putBase(chunksOf(snapshot.bytes, 32 << 10));
  for (const [name, bytes] of Object.entries(attachments))
    await writer.putAttachment(name, chunksOf(bytes, 1000));
  return writer.commit({ ...factsOf(snapshot), ...facts }, history ?? { entryAt: () => undefined });
}

/** An open repository with one backup in it. */
export async function repositoryWithBackup(
  settings: RepositorySettings,
  options: BackUpOptions = {},
): Promise<{ repository: Repository; snapshot: SmallSnapshot; backup: SoundBackup }> {
  const repository = await openRepository(settings);
  const snapshot = await smallSnapshot();
  return { repository, snapshot, backup: await backUp(repository, snapshot, options) };
}

function factsOf({ facts }: SmallSnapshot): BackupFacts {
  return {
    etcd: {
      clusterId: ETCD_CLUSTER,
      memberId: 0x8e9e05c52164694dn,
      memberName: 'etcd-1',
      endpoint: 'https://10.0.0.1:2379',
      serverVersion: '3.6.16',
      storageVersion: '3.6.0',
      clusterVersion: '3.6.0',
      raftTerm: 2n,
    },
    snapshot: facts,
    anchors: [],
    proof: { kind: 'none', reason: 'no member to ask in this test' },
  };
}
