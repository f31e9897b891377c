import type { KeyGrouping, SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import { ENCRYPTED_VALUES } from '../keyspace/keys-needed.ts';
import type { SegmentLog, StoredSegment } from '../repository/chain.ts';
import type { Repository, SoundBackup } from '../repository/repository.ts';
import {
  type PointProgress,
  type WritePointOptions,
  writeRestorePoint,
  type WrittenPoint,
} from '../repository/write-restore-point.ts';
import { graftGrouping, type GraftKeys } from './graft-grouping.ts';
import type { JudgedDatabase } from './snapshot-source.ts';

/** A database that is made where it is to be, out of several objects of a store. */
export interface MergedSource {
  /** For people, e.g. `revision 4711 of timeline 000001`. */
  readonly label: string;
  /** Bytes of the database, about. */
  readonly size: number;
  /** Makes it at `path`, verified, and vouches for it; its keys are sorted by `grouping`. */
  readonly write: (
    path: string,
    signal: AbortSignal | undefined,
    onProgress: (progress: PointProgress) => void,
    grouping?: KeyGrouping,
  ) => Promise<SnapshotVerdict>;
}

/** A restore point's base and what was captured behind it. */
export interface PointToRestore {
  readonly base: SoundBackup;
  readonly segments: readonly StoredSegment[];
  readonly revision: bigint;
}

export interface MergedSourceOptions extends Pick<WritePointOptions, 'acceptedMismatches'> {
  /** Told when it is made: what was compared with it, and what was disregarded. */
  readonly onWritten?: ((written: WrittenPoint) => void) | undefined;
}

/** Restores a point that needs more than its base: merged straight into the data dir, without another copy. */
export function mergedSource(
  repository: Pick<Repository, 'location' | 'readBase'>,
  log: Pick<SegmentLog, 'read'>,
  { base, segments, revision }: PointToRestore,
  { acceptedMismatches, onWritten }: MergedSourceOptions = {},
): MergedSource {
  const behind = segments.reduce((sum, { head }) => sum + PAGED * head.plainSize + ELEMENT * head.events, 0);
  return {
    label: `revision ${revision} (backup ${base.id} and ${segments.length} segments) from ${repository.location}`,
    size: base.manifest.snapshot.totalSize + Math.ceil(behind),
    write: async (path, signal, onProgress, grouping) => {
      const parts = { base, segments, revision };
      const written = await writeRestorePoint({ repository, log }, parts, path, {
        ...{ trailer: false, valuePrefixes: ENCRYPTED_VALUES, acceptedMismatches, signal, onProgress },
        grouping,
      });
      onWritten?.(written);
      return written.verdict;
    },
  };
}

/** What entries take in pages, which they don't fill to the last byte, and what each costs there beside itself. */
const PAGED = 1.25;
const ELEMENT = 16;

export function judgedMerge(
  source: MergedSource,
  onProgress: (progress: PointProgress) => void,
  graftKeys?: GraftKeys,
): JudgedDatabase {
  const grouping = graftKeys === undefined ? undefined : graftGrouping(graftKeys);
  let made: SnapshotVerdict | undefined;
  const verdict = (): SnapshotVerdict => {
    if (made === undefined) throw new Error(`${source.label} was not made`);
    return made;
  };
  return {
    database: {
      write: async (path, signal) => {
        made = await source.write(path, signal, onProgress, grouping);
      },
    },
    verdict,
    hashKVAt: (point) => Promise.resolve(verdict().hashKVAt(point)),
    liveEntriesOf: (groups) => Promise.resolve(verdict().liveEntriesOf(groups)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
