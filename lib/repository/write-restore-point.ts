import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { diskError, syncFolder } from '../etcd/durable-file.ts';
import { makeSnapshotAt, type MergeProgress, type SnapshotAtOptions } from '../etcd/mvcc/snapshot-at.ts';
import type { SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import type { CallOptions } from './call-options.ts';
import type { SegmentLog, StoredSegment } from './chain.ts';
import { fetchBase } from './fetch-base.ts';
import { canAnswer, type HashJudgement, judgeHashes } from './kept-hashes.ts';
import { SegmentsBetween } from './read-segments.ts';
import type { Repository, SoundBackup } from './repository.ts';

/** Where a restore point's data is. */
export interface PointSources {
  readonly repository: Pick<Repository, 'readBase'>;
  readonly log: Pick<SegmentLog, 'read'>;
}

/** A restore point, and what makes it. */
export interface PointParts {
  readonly base: SoundBackup;
  /** By where they begin; at least those that cover what is above the base. Read only as far as needed. */
  readonly segments: Iterable<StoredSegment> | AsyncIterable<StoredSegment>;
  /** The base's own, or one above it. */
  readonly revision: bigint;
}

export interface WritePointOptions
  extends
    CallOptions,
    Pick<SnapshotAtOptions, 'clearAlarms' | 'compactAt' | 'trailer' | 'grouping' | 'valuePrefixes'> {
  /** Revisions at which a hash that members had kept may differ, because a person said so. */
  readonly acceptedMismatches?: readonly bigint[] | undefined;
  readonly onProgress?: ((progress: PointProgress) => void) | undefined;
}

/** Fetching and verifying count bytes, merging revisions. */
export type PointProgress =
  MergeProgress | { readonly step: 'fetching'; readonly done: number; readonly total: number };

export interface WrittenPoint extends HashJudgement {
  /** About the file as it is on disk. */
  readonly verdict: SnapshotVerdict;
  /** The last segment that was read from; undefined when the base was all it took. */
  readonly through: StoredSegment | undefined;
}

/**
 * Makes the snapshot file of a restore point at `path`: the base, verified while it streams in and written once, and the
 * changes behind it appended in place. What comes out is read back, verified whole, and compared with the hashes that
 * members kept of its history. The file grows as `<path>.part` and appears when it is whole and synced; nothing is left
 * of it otherwise. Memory follows the number of entries gently, never the size.
 *
 * Rejects with `repository.unsound` (the base), `merge.gap`, `merge.unsound`, `merge.hash-mismatch`, `mvcc.compacted`
 * (`compactAt` is out of range), errors of the store, the keys and the disk.
 */
export async function writeRestorePoint(
  { repository, log }: PointSources,
  { base, segments, revision }: PointParts,
  path: string,
  options: WritePointOptions = {},
): Promise<WrittenPoint> {
  const { signal, onProgress } = options;
  const from = base.manifest.snapshot.currentRevision;
  if (revision < from) {
    throw new GuardianError('merge.gap', `backup ${base.id} is at revision ${from}, behind ${revision}`, {
      hint: 'Choose a base at or before that revision.',
    });
  }
  const part = `${path}.part`;
  const between = new SegmentsBetween(log, base, from, revision);
  let judged: HashJudgement = { matched: [], outvoted: [], disregarded: [] };
  try {
    await fetchBase(repository, base, part, {
      signal,
      onProgress: (done, total) => onProgress?.({ step: 'fetching', done, total }),
    });
    const later = { revision, entries: between.entries(segments, { signal }), leases: between.leases };
    const verdict = await makeSnapshotAt(part, later, {
      ...options,
      onWhole: (whole) => {
        judged = judgeHashes(whole, between.proofs, options.acceptedMismatches);
      },
    });
    await rename(part, path);
    await syncFolder(dirname(path));
    // What a compaction dropped can't be told any more; it was compared before.
    const matched = judged.matched.filter((hash) => canAnswer(verdict, hash));
    return { verdict, ...judged, matched, through: between.last };
  } catch (error) {
    await rm(part, { force: true });
    throw diskError(error, `writing ${path}`);
  }
}
