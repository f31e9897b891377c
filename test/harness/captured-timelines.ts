import type { SegmentLog } from '../../lib/repository/chain.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type { Repository, RepositorySettings, SoundBackup } from '../../lib/repository/repository.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { backUp, ETCD_CLUSTER, repositorySettings, TestClock, testKeys } from './repository.ts';
import { segmentDraft } from './segments.ts';
import { smallSnapshot } from './small-snapshot.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface CapturedTimelines extends AsyncDisposable {
  readonly settings: RepositorySettings;
  readonly repository: Repository;
  readonly log: SegmentLog;
  readonly clock: TestClock;
  /** In the order in which they were made: of revisions 21, 41, 91 and, on the second timeline, 101. */
  readonly bases: readonly SoundBackup[];
}

/**
 * A cluster's store, half an hour long. Timeline 000001: a base at 21 and segments of ten revisions each up to 61, a base
 * at 41 taken under them; a gap; a base at 91 with a segment up to 101. Then a restore: timeline 000002 with a base at
 * 101 and segments up to 111 and 121. `elsewhere`: in place of a temporary folder.
 */
export async function capturedTimelines(elsewhere?: ObjectStore): Promise<CapturedTimelines> {
  const folder = await temporaryFolder();
  const clock = new TestClock();
  const store = elsewhere ?? new LocalStore(folder.path);
  const settings = repositorySettings(store, { ...testKeys(), clock: clock.read });
  const repository = await openRepository(settings);
  const log = repository.segments;
  const base = async (revision: number, etcdClusterId = ETCD_CLUSTER): Promise<SoundBackup> => {
    clock.advance(MINUTE_MS);
    const snapshot = await smallSnapshot({ keys: revision - 1 });
    const etcd = { ...ETCD, clusterId: etcdClusterId };
    return backUp(repository, snapshot, {
      request: { etcdClusterId, clusterRevision: snapshot.revision },
      facts: { etcd },
    });
  };
  const capture = async (from: SoundBackup, ends: readonly bigint[], reason?: string): Promise<void> => {
    let tail = await tailOf(log, from);
    for (const to of ends) {
      clock.advance(MINUTE_MS);
      const gap = reason === undefined || tail.index > 0 ? undefined : { after: 61n, reason };
      const draft = await segmentDraft({ from: tail.revision, to, clock: clock.read, extras: { gap } });
      tail = await log.append(tail, draft);
    }
  };
  const first = await base(21);
  await capture(first, [31n, 41n, 51n]);
  const second = await base(41);
  await capture(first, [61n]);
  const third = await base(91);
  await capture(third, [101n], 'the watch was compacted past');
  clock.advance(MINUTE_MS);
  const restored = ETCD_CLUSTER + 1n;
  await repository.beginTimeline({ cluster: 'prod', etcdClusterId: restored, reason: 'restored' });
  const fourth = await base(101, restored);
  await capture(fourth, [111n, 121n]);
  return {
    ...{ settings, repository, log, clock, bases: [first, second, third, fourth] },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const MINUTE_MS = 60_000;

const ETCD = {
  ...{ memberId: 1n, memberName: 'etcd-1', endpoint: 'https://10.0.0.1:2379', serverVersion: '3.6.16' },
  raftTerm: 2n,
};

/** Behind the last segment of the base's chain. */
async function tailOf(log: SegmentLog, base: SoundBackup): ReturnType<SegmentLog['append']> {
  const tails = await log.tails(base.cluster);
  return tails.find(({ id }) => id === base.id) ?? log.tailOf(base);
}
