import { createReadStream } from 'node:fs';
import { hostname } from 'node:os';
import { type FileVersions } from '../lib/etcd/datadir/version-rules.ts';
import { verifySnapshotFile } from '../lib/etcd/mvcc/verify-snapshot-file.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { type SoundBackup } from '../lib/repository/repository.ts';
import { type RestorePoint } from '../lib/restore/restore-plan.ts';
import { type RestoreRecording } from '../lib/restore/settle-restore.ts';
import { type SnapshotSource } from '../lib/restore/snapshot-source.ts';
import { parseCount } from './option-values.ts';
import { type ProgressLine } from './progress-line.ts';
import {
  type OpenedRepository,
  openRepositoryWith,
  theCluster,
  type RepositoryOptions,
} from './repository-options.ts';
import { type Session } from './session.ts';
import { userName } from './user-name.ts';

/** What a restore starts from, and what is known of it. */
export interface RestoreInput {
  readonly source: SnapshotSource;
  readonly point: RestorePoint;
  readonly versions: FileVersions;
  /** Where the restore is recorded; absent where no record is kept. */
  readonly recording: RestoreRecording | undefined;
}

interface BackupChoice extends RepositoryOptions {
  readonly backup?: string;
  readonly allowOlder?: boolean;
  readonly record: boolean;
  readonly joinRestore?: string;
}

/** A backup from the store that the options name. */
export async function fromBackup(
  session: Session,
  options: BackupChoice,
  progress: ProgressLine,
): Promise<RestoreInput> {
  const { signal } = session.terminal;
  const opened = await openRepositoryWith(session, options, progress);
  const { repository, location } = opened;
  const cluster = await theCluster(repository, options, session.terminal);
  await opened.checkFreshness(cluster, options.allowOlder === true);
  const { backup, passedOver } = await repository.find(cluster, options.backup ?? 'latest', { signal });
  for (const damaged of passedOver) {
    progress.say(`warning: ${damaged.id} is newer but can't be used: ${damaged.problem.message}`);
  }
  for (const warning of backup.warnings) progress.say(`warning: ${warning.message}`);
  requireKey(backup, opened);
  const { snapshot, etcd } = backup.manifest;
  return {
    source: sourceOf(backup, location, (aborted) => repository.readBase(backup, { signal: aborted })),
    point: {
      identity: backup.id,
      currentRevision: snapshot.currentRevision,
      highWater: await repository.highWater(cluster, { signal }),
    },
    versions: { storageVersion: etcd.storageVersion, clusterVersion: etcd.clusterVersion },
    recording: options.record
      ? {
          repository,
          backup,
          number:
            options.joinRestore === undefined ? undefined : parseCount(options.joinRestore, '--join-restore'),
          by: `${userName()}@${hostname()}`,
        }
      : undefined,
  };
}

/** Before anything is recorded: without a key nothing can be read later either. */
function requireKey(backup: SoundBackup, { keys }: OpenedRepository): void {
  const recipients = backup.manifest.base.recipients.map(({ id }) => id);
  if (recipients.length === 0 || keys?.encryption !== undefined) return;
  throw new GuardianError(
    'encryption.key-missing',
    `backup ${backup.id} is encrypted, and no key was given`,
    {
      hint: `give the key file or the recovery file that holds one of ${recipients.join(', ')}: --key-file FILE`,
    },
  );
}

function sourceOf(backup: SoundBackup, location: string, open: SnapshotSource['open']): SnapshotSource {
  const { snapshot } = backup.manifest;
  return {
    label: `backup ${backup.id} from ${location}`,
    open,
    size: snapshot.totalSize,
    trailer: 'required',
    expected: {
      sha256: snapshot.sha256,
      currentRevision: snapshot.currentRevision,
      hashKV: snapshot.hashKV.hash,
    },
  };
}

/** A bare snapshot file. It is read once more beforehand: a plan needs its revision. */
export async function fromFile(
  file: string,
  allowMissingTrailer: boolean,
  signal: AbortSignal,
  progress: ProgressLine,
): Promise<RestoreInput> {
  const trailer = allowMissingTrailer ? 'optional' : 'required';
  const verdict = await verifySnapshotFile(file, {
    trailer,
    signal,
    onProgress: (done, total) => {
      progress.update({ label: 'verifying', done, total });
    },
  });
  const [problem] = verdict.problems;
  if (problem !== undefined) {
    throw new GuardianError(
      'restore.unsound',
      `${file} can't be restored: ${problem.message} [${problem.code}]`,
      {
        hint: `"etcdguardian snapshot verify ${file}" lists everything that is wrong with it`,
      },
    );
  }
  return {
    source: {
      label: `snapshot file ${file}`,
      open: () => createReadStream(file, { highWaterMark: 1 << 20 }),
      size: verdict.totalSize,
      trailer,
      expected: { sha256: verdict.sha256, currentRevision: verdict.currentRevision, hashKV: verdict.hashKV },
    },
    point: {
      identity: verdict.sha256,
      currentRevision: verdict.currentRevision,
      highWater: verdict.currentRevision,
    },
    versions: { storageVersion: verdict.storageVersion, clusterVersion: verdict.clusterVersion },
    recording: undefined,
  };
}
