import path from 'node:path';
import { crc32c } from '../etcd/crc32c.ts';
import type { MemberDatabaseOptions } from '../etcd/datadir/member-database.ts';
import { type DatabaseSource, writeMemberDir } from '../etcd/datadir/member-dir.ts';
import { withdrawMemberDir } from '../etcd/datadir/withdraw-member-dir.ts';
import type { VersionEdits } from '../etcd/datadir/version-rules.ts';
import { encodeRevisionKey } from '../etcd/mvcc/revision.ts';
import type { SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { verifySnapshotFile } from '../etcd/mvcc/verify-snapshot-file.ts';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { PointProgress } from '../repository/write-restore-point.ts';
import { refuseExisting, requireRoom } from './existing-dirs.ts';
import { GIVES_WAY } from './graft-grouping.ts';
import { Grafting } from './grafting.ts';
import type { PlannedDir, RestorePlan } from './restore-plan.ts';
import { judgedMerge, type MergedSource } from './merged-source.ts';
import type { OnTop } from './put-on-top.ts';
import { type JudgedDatabase, judgedSnapshot, type SnapshotSource } from './snapshot-source.ts';

export interface RestoreTools {
  readonly onStep: (step: RestoreStep) => void;
  /** Changes that make the file fit for another version of etcd; see `judgeVersions`. */
  readonly versionEdits?: VersionEdits | undefined;
  /** False for a drill, whose etcd reads everything anyway and is asked for its hash. Default true. */
  readonly readBack?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type RestoreStep =
  | {
      readonly kind: 'writing';
      readonly dir: PlannedDir;
      readonly done: number;
      readonly total: number | undefined;
    }
  | { readonly kind: 'merging'; readonly progress: PointProgress }
  | { readonly kind: 'verified'; readonly verdict: SnapshotVerdictData }
  | {
      readonly kind: 'reading-back';
      readonly dir: PlannedDir;
      readonly done: number;
      readonly total: number;
    };

export interface RestoredDir {
  readonly name: string;
  readonly dataDir: string;
  readonly walDir: string | undefined;
  readonly peerUrls: readonly string[];
  readonly memberId: bigint;
}

export interface Restored {
  readonly dirs: readonly RestoredDir[];
  readonly clusterId: bigint;
  /** What was found in the snapshot. */
  readonly verdict: SnapshotVerdictData;
  /** The revision that the cluster starts at. */
  readonly revision: bigint;
  /** What every member answers for HashKV(0) before its first write. */
  readonly hashKV: number;
  /** Of the plan's grafts: keys of the data that gave way, and keys that were put. */
  readonly onTop: Pick<OnTop, 'deleted' | 'put'>;
}

/**
 * Makes the data dirs of a plan from a snapshot, or from what makes a restore point. Existing dirs are refused before
 * anything is read. The data is verified before a dir appears, which it does only when all of it is on disk; then its
 * database is read back and must hold exactly the snapshot's revisions, the plan's grafts and the bump. On any failure what was made here
 * is removed again.
 *
 * Rejects with `restore.data-dir-exists`, `restore.no-space`, `restore.grafts`, `restore.unsound` (the snapshot is damaged, or isn't
 * what its manifest says), `restore.wrong-copy` (what was written reads back differently), those of `writeMemberDir`
 * and the source's own errors.
 */
export async function restoreOffline(
  source: SnapshotSource | MergedSource,
  plan: RestorePlan,
  tools: RestoreTools,
): Promise<Restored> {
  // 1. Nothing is overwritten, and each disk must hold its part.
  const grafting = Grafting.of(plan);
  await refuseExisting(plan.dirs);
  await requireRoom(plan.dirs, source.size + (grafting?.size ?? 0));

  const made: (RestoredDir & { readonly clusterId: bigint })[] = [];
  try {
    // 2. The first dir from the snapshot, judged before the dir appears under its name.
    const [first, ...others] = plan.dirs;
    if (first === undefined) throw new Error('a restore plan without any dir');
    await using snapshot = judged(source, tools, grafting);
    const onTop = grafting?.onTop(snapshot);
    const options = { ...tools, bumpTo: plan.bumpTo, onTop };
    made.push(await writeDir(first, plan, snapshot.database, source.size, options));
    const clusterHash = await expectedHash(snapshot, plan.bumpTo, grafting?.done);
    tools.onStep({ kind: 'verified', verdict: snapshot.verdict() });

    // 3. The others from the first: members of a fresh cluster differ only in their logs.
    const file = path.join(first.dataDir, 'member', 'snap', 'db');
    for (const dir of others) {
      made.push(await writeDir(dir, plan, { file }, source.size, { ...tools, versionEdits: undefined }));
    }

    // 4. What is on disk now is what will be served.
    for (const dir of tools.readBack === false ? [] : plan.dirs) await readBack(dir, clusterHash, tools);
    return {
      dirs: made,
      clusterId: made[0]?.clusterId ?? 0n,
      verdict: snapshot.verdict(),
      revision: plan.bumpTo ?? snapshot.verdict().currentRevision,
      hashKV: clusterHash,
      onTop: { deleted: grafting?.done.deleted ?? 0, put: grafting?.done.put ?? 0 },
    };
  } catch (error) {
    for (const dir of made) await takeBack(dir, error);
    throw error;
  }
}

function judged(
  source: SnapshotSource | MergedSource,
  tools: RestoreTools,
  grafting: Grafting | undefined,
): JudgedDatabase {
  if (!('write' in source)) return judgedSnapshot(source, tools.signal, grafting?.keys);
  const onProgress = (progress: PointProgress): void => {
    tools.onStep({ kind: 'merging', progress });
  };
  return judgedMerge(source, onProgress, grafting?.keys);
}

async function writeDir(
  dir: PlannedDir,
  plan: RestorePlan,
  snapshot: DatabaseSource,
  size: number,
  options: RestoreTools & Pick<MemberDatabaseOptions, 'bumpTo' | 'onTop'>,
): Promise<RestoredDir & { readonly clusterId: bigint }> {
  const { dataDir, walDir, member } = dir;
  const written = await writeMemberDir({
    dataDir,
    walDir,
    snapshot,
    name: member.name,
    cluster: { token: plan.token, members: plan.members },
    bumpTo: options.bumpTo,
    onTop: options.onTop,
    versionEdits: options.versionEdits,
    signal: options.signal,
    onProgress: (done, total) => {
      options.onStep({ kind: 'writing', dir, done, total: total ?? size });
    },
  });
  return { name: member.name, dataDir, walDir, peerUrls: member.peerUrls, ...written };
}

/**
 * HashKV of the restored cluster at its first revision. After a bump everything below is compacted, so only each live
 * key's newest entry counts, then those put on top, and the bump's own entry behind them: a revision key without a value.
 */
async function expectedHash(
  snapshot: JudgedDatabase,
  bumpTo: bigint | undefined,
  onTop: OnTop | undefined,
): Promise<number> {
  const verdict = snapshot.verdict();
  if (bumpTo === undefined) return verdict.hashKV;
  const revision = verdict.currentRevision;
  const live = await snapshot.hashKVAt({
    ...{ revision, compactRevision: revision, withoutBumps: true },
    ...(onTop === undefined ? {} : { withoutGroup: GIVES_WAY }),
  });
  return crc32c(encodeRevisionKey({ main: bumpTo, sub: 0n }), onTop?.hashFrom(live) ?? live);
}

async function readBack(dir: PlannedDir, expected: number, tools: RestoreTools): Promise<void> {
  const file = path.join(dir.dataDir, 'member', 'snap', 'db');
  const verdict = await verifySnapshotFile(file, {
    trailer: 'optional',
    signal: tools.signal,
    onProgress: (done, total) => {
      tools.onStep({ kind: 'reading-back', dir, done, total });
    },
  });
  const [problem] = verdict.problems;
  if (problem === undefined && verdict.hashKV === expected) return;
  throw new GuardianError(
    'restore.wrong-copy',
    problem === undefined
      ? `${file} reads back with HashKV ${verdict.hashKV}, not ${expected}`
      : `${file} reads back damaged: ${problem.message}`,
    { hint: 'this disk does not give back what was written to it: restore to another one' },
  );
}

/** What was made for a restore that failed goes; if it can't, that is told together with the failure. */
async function takeBack(dir: RestoredDir, failure: unknown): Promise<void> {
  try {
    await withdrawMemberDir(dir.dataDir, dir.walDir);
  } catch (error) {
    throw new GuardianError(
      'restore.wrong-copy',
      `the restore failed (${reasonOf(failure)}), and what it made can't be removed: ${reasonOf(error)}`,
      { hint: `do not start etcd on ${dir.dataDir}: move it aside by hand`, cause: failure },
    );
  }
}
