import { createReadStream } from 'node:fs';
import { hostname } from 'node:os';
import type { FileVersions } from '../lib/etcd/datadir/version-rules.ts';
import { verifySnapshotFile } from '../lib/etcd/mvcc/verify-snapshot-file.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { type PointQuery, PointUnavailableError } from '../lib/repository/choose-point.ts';
import type { FindPointOptions, RestorePoint } from '../lib/repository/points.ts';
import type { Repository, SoundBackup } from '../lib/repository/repository.ts';
import { mergedSource, type MergedSource } from '../lib/restore/merged-source.ts';
import type { HashJudgement } from '../lib/repository/kept-hashes.ts';
import type { RestorePoint as DataToRestore } from '../lib/restore/restore-plan.ts';
import type { RestoreRecording } from '../lib/restore/settle-restore.ts';
import type { SnapshotSource } from '../lib/restore/snapshot-source.ts';
import { parseCount } from './option-values.ts';
import { count } from './output.ts';
import { acceptedMismatches, type AcceptOptions, pointQuery, type PointOptions } from './point-options.ts';
import type { ProgressLine } from './progress-line.ts';
import {
  type OpenedRepository,
  openRepositoryWith,
  theCluster,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';
import { userName } from './user-name.ts';

/** What a restore starts from, and what is known of it. */
export interface RestoreInput {
  readonly source: SnapshotSource | MergedSource;
  readonly point: DataToRestore;
  readonly versions: FileVersions;
  /** What it begins with; undefined for a bare file. */
  readonly backup: SoundBackup | undefined;
  /** Where the restore is recorded; absent where no record is kept. */
  readonly recording: RestoreRecording | undefined;
  /** What kept hashes said of it, once it is made; undefined where there was nothing to compare. */
  readonly judged: () => HashJudgement | undefined;
}

interface BackupChoice extends RepositoryOptions, PointOptions, AcceptOptions {
  readonly backup?: string;
  readonly allowOlder?: boolean;
  readonly record: boolean;
  readonly joinRestore?: string;
}

/** A backup or a restore point from the store that the options name. */
export async function fromBackup(
  session: Session,
  options: BackupChoice,
  progress: ProgressLine,
): Promise<RestoreInput> {
  const { signal } = session.terminal;
  const accepted = acceptedMismatches(options);
  let judged: HashJudgement | undefined;
  const opened = await openRepositoryWith(session, options, progress);
  const { repository, location } = opened;
  const cluster = await theCluster(repository, options, session.terminal);
  await opened.checkFreshness(cluster, options.allowOlder === true);
  const query = pointQuery(options, session.clock);
  const chosen =
    query === undefined
      ? await backupOrNewest(repository, cluster, options.backup, progress, signal)
      : await pointAsked(repository, cluster, query, { timeline: options.timeline, signal });
  const { backup, point } = chosen;
  for (const warning of backup.warnings) progress.say(`warning: ${warning.message}`);
  requireKey(backup, opened);
  const { snapshot, etcd } = backup.manifest;
  if (point !== undefined) {
    progress.say(
      `restore point: revision ${count(point.revision)}, as seen at ${point.seenAt.toISOString()}`,
    );
  }
  return {
    source:
      point === undefined
        ? sourceOf(backup, location, (aborted) => repository.readBase(backup, { signal: aborted }))
        : mergedSource(repository, repository.segments, point, {
            acceptedMismatches: accepted,
            onWritten: (written) => {
              judged = written;
            },
          }),
    judged: () => judged,
    backup,
    point: {
      identity: point === undefined ? backup.id : `${backup.id} revision ${point.revision}`,
      currentRevision: point?.revision ?? snapshot.currentRevision,
      highWater: await repository.highWater(cluster, { signal }),
    },
    versions: { storageVersion: etcd.storageVersion, clusterVersion: etcd.clusterVersion },
    recording: options.record
      ? {
          repository,
          backup,
          revision: point?.revision,
          acceptedMismatches: accepted,
          number:
            options.joinRestore === undefined ? undefined : parseCount(options.joinRestore, '--join-restore'),
          by: `${userName()}@${hostname()}`,
        }
      : undefined,
  };
}

/** What is restored: a backup alone, or the point that stands behind it. */
interface ChosenData {
  readonly backup: SoundBackup;
  readonly point: RestorePoint | undefined;
}

async function pointAsked(
  repository: Repository,
  cluster: string,
  query: PointQuery,
  options: FindPointOptions,
): Promise<ChosenData> {
  const point = await repository.points.find(cluster, query, options);
  return { backup: point.base, point: point.segments.length === 0 ? undefined : point };
}

/** One backup, or, where none is named, the newest that can be restored. */
async function backupOrNewest(
  repository: Repository,
  cluster: string,
  named: string | undefined,
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<ChosenData> {
  const { backup, passedOver } = await repository.find(cluster, named ?? 'latest', { signal });
  for (const damaged of passedOver) {
    progress.say(`warning: ${damaged.id} is newer but can't be used: ${damaged.problem.message}`);
  }
  if (named !== undefined) return { backup, point: undefined };
  try {
    const newest = await repository.points.find(cluster, { kind: 'latest' }, { signal });
    const { behind } = newest;
    if (behind !== undefined) {
      progress.say(
        `warning: revisions ${count(behind.first)} to ${count(behind.last)} are newer and can't be restored: ${behind.reason}`,
      );
    }
    return newest.segments.length === 0
      ? { backup, point: undefined }
      : { backup: newest.base, point: newest };
  } catch (error) {
    // There is no point beyond the backup.
    if (error instanceof PointUnavailableError) return { backup, point: undefined };
    throw error;
  }
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
    backup: undefined,
    recording: undefined,
    judged: () => undefined,
  };
}
