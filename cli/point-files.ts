import { join } from 'node:path';
import type { RestorePoint } from '../lib/repository/points.ts';
import type { Repository } from '../lib/repository/repository.ts';
import { scratchFolder } from '../lib/repository/scratch-folder.ts';
import { writeRestorePoint } from '../lib/repository/write-restore-point.ts';
import { count } from './output.ts';
import { pointNamed, pointTransfer } from './point-options.ts';
import type { ProgressLine } from './progress-line.ts';
import { openRepositoryWith, theCluster, type RepositoryOptions } from './repository-options.ts';
import type { Session } from './session.ts';
import { diskFolder } from './spool-options.ts';

/** A state: of a snapshot file, or a moment of its history. */
export interface StateFile {
  readonly path: string;
  /** Left out: the newest. */
  readonly revision: bigint | undefined;
}

interface PointFileOptions extends RepositoryOptions {
  readonly timeline?: string;
  readonly workDir?: string;
}

/**
 * Makes what two restore points hold readable, for as long as `use` takes: as one file where the later one's history
 * reaches back to the earlier one, else as two.
 */
export async function withPointFiles(
  session: Session,
  options: PointFileOptions,
  progress: ProgressLine,
  from: string,
  to: string,
  use: (before: StateFile, after: StateFile) => Promise<void>,
): Promise<void> {
  const { terminal, clock } = session;
  const { signal } = terminal;
  const queries = [pointNamed(from, clock, '--from-point'), pointNamed(to, clock, '--to-point')] as const;
  const { repository } = await openRepositoryWith(session, options, progress);
  const cluster = await theCluster(repository, options, terminal);
  const call = { timeline: options.timeline, signal };
  const before = await repository.points.find(cluster, queries[0], call);
  const after = await repository.points.find(cluster, queries[1], call);
  await using folder = await scratchFolder(options.workDir ?? (await diskFolder()), 'points');
  const laterFile = await writeFile(repository, after, join(folder.path, 'later.db'), progress, signal);
  const earlierFile = reachesBackTo(after, before)
    ? laterFile
    : await writeFile(repository, before, join(folder.path, 'earlier.db'), progress, signal);
  progress.end();
  await use({ path: earlierFile, revision: before.revision }, { path: laterFile, revision: after.revision });
}

function reachesBackTo(later: RestorePoint, earlier: RestorePoint): boolean {
  const { compactRevision } = later.base.manifest.snapshot;
  return (
    later.timeline === earlier.timeline &&
    earlier.revision <= later.revision &&
    earlier.revision >= compactRevision &&
    earlier.revision > 0n
  );
}

async function writeFile(
  repository: Repository,
  point: RestorePoint,
  path: string,
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<string> {
  progress.say(
    `making the state of revision ${count(point.revision)}, as seen at ${point.seenAt.toISOString()}`,
  );
  await writeRestorePoint({ repository, log: repository.segments }, point, path, {
    signal,
    onProgress: (step) => {
      progress.update(pointTransfer(step));
    },
  });
  return path;
}
