import { createReadStream } from 'node:fs';
import { hostname } from 'node:os';
import { startVerifierThread } from '../lib/etcd/mvcc/verifier-thread.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { ENCRYPTED_VALUES } from '../lib/keyspace/keys-needed.ts';
import type { SoundBackup } from '../lib/repository/repository.ts';
import { snapshotFacts } from '../lib/repository/snapshot-facts.ts';
import { clusterInFile } from '../lib/restore/rescue/cluster-in-file.ts';
import type { Rescued } from '../lib/restore/rescue/rescue-snapshot.ts';
import type { ProgressLine } from './progress-line.ts';
import { openRepositoryWith, type RepositoryOptions } from './repository-options.ts';
import type { Session } from './session.ts';
import { userName } from './user-name.ts';

const ANCHORS = 64;

/** Makes a backup of a rescued snapshot, in the store that the options name. Rejects as backups do. */
export async function storeRescued(
  session: Session,
  options: RepositoryOptions,
  { file, verdict, behind }: Rescued,
  progress: ProgressLine,
): Promise<SoundBackup> {
  const { signal } = session.terminal;
  const opened = await openRepositoryWith(session, options, progress);
  const { repository } = opened;
  const cluster = options.cluster ?? (await clusterInFile(file, signal));
  if (cluster === undefined) throw nameless(file);
  await using verifier = startVerifierThread({ trailer: 'required', valuePrefixes: ENCRYPTED_VALUES });
  const writer = await repository.beginBackup(
    { cluster, etcdClusterId: behind?.clusterId ?? 0n, clusterRevision: verdict.currentRevision },
    { signal },
  );
  try {
    async function* passing(): AsyncGenerator<Uint8Array, void> {
      let done = 0;
      for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
        const bytes = chunk as Buffer;
        await verifier.write(bytes);
        yield bytes;
        done += bytes.length;
        progress.update({ label: 'storing', done, total: verdict.totalSize });
      }
    }
    await writer.putBase(passing(), { signal });
    const judged = await verifier.finish();
    if (!judged.sound || judged.sha256 !== verdict.sha256) throw changed(file);
    const memberId = behind?.memberId ?? 0n;
    const memberName = verdict.members.find(({ id }) => BigInt(`0x${id}`) === memberId)?.name ?? '';
    const { storageVersion, clusterVersion } = verdict;
    const backup = await writer.commit(
      {
        etcd: {
          clusterId: behind?.clusterId ?? 0n,
          ...{ memberId, memberName, endpoint: `file://${hostname()}`, raftTerm: verdict.term ?? 0n },
          serverVersion: storageVersion ?? clusterVersion ?? '',
          ...(storageVersion === undefined ? {} : { storageVersion }),
          ...(clusterVersion === undefined ? {} : { clusterVersion }),
        },
        ...snapshotFacts(judged),
        anchors: await verifier.sampleLiveEntries(ANCHORS),
        proof: { kind: 'none', reason: 'rescued from the data dir of a member that was dead' },
        requester: { username: userName() },
      },
      verifier,
      {
        signal,
        onWriting: () => {
          session.doubt = `backup ${writer.id} was being committed and may be there: see "etcdguardian backup list"`;
        },
      },
    );
    session.doubt = undefined;
    await opened.remember(backup).catch((error: unknown) => {
      if (!(error instanceof GuardianError)) throw error;
      progress.say(`warning: ${error.message}; a store that later lacks this backup is not noticed here`);
    });
    return backup;
  } catch (error) {
    await writer.discard({ signal: AbortSignal.timeout(15_000) }).catch(() => undefined);
    throw error;
  }
}

function nameless(file: string): GuardianError {
  return new GuardianError(
    'backup.cluster-name',
    `${file} holds no namespace kube-system whose uid could be read`,
    {
      hint: 'The snapshot is written. Say which cluster it is of, to store it: --cluster NAME, as "etcdguardian backup list" has it.',
    },
  );
}

function changed(file: string): GuardianError {
  return new GuardianError('restore.unsound', `${file} changed while it was stored, or its disk is bad`, {
    hint: 'No backup was made of it. Rescue it again, to another disk.',
  });
}
