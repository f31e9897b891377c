import type { Problem } from '../problem-list.ts';
import type { Revision } from './revision.ts';
import type { EntryMarks } from './survivors.ts';

export type { Problem };

/**
 * Sorts user keys into groups for statistics. Called once per record, stale ones included, while bytes stream past:
 * it must be fast, must not keep `bytes`, and answers small dense numbers from 0.
 */
export interface KeyGrouping {
  /** The group of the user key bytes[start, end). */
  groupOf(bytes: Buffer, start: number, end: number): number;
  nameOf(group: number): string;
}

/** Sizes are bytes as stored: revision key and record together. */
export interface GroupStatistics {
  readonly name: string;
  /** Keys alive at the end of the file. */
  readonly liveKeys: number;
  readonly liveBytes: number;
  /** Superseded records and tombstones: what a compaction could remove. */
  readonly historyEntries: number;
  readonly historyBytes: number;
}

/**
 * Asks which prefixes values have, among those that begin with `marker` (ASCII, at least 4 bytes): the marker and so
 * many further fields, each with the colon that ends it.
 */
export interface ValuePrefixes {
  readonly marker: string;
  readonly fields: number;
}

export interface LivePrefix {
  /** As latin1, one character a byte; the marker alone for what has fewer fields, or is one prefix too many (64). */
  readonly prefix: string;
  /** Keys alive at the end of the file whose value begins so. */
  readonly liveKeys: number;
}

/** An entry of bucket `members`. Ids are lower-case hex without padding, as etcdctl prints them. */
export interface SnapshotMember {
  readonly id: string;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
}

export interface SnapshotAlarm {
  readonly memberId: string;
  /** `NOSPACE`, `CORRUPT`, or the number of a kind that is not known here. */
  readonly alarm: string;
}

/** An MVCC entry without its content. */
export interface EntryMark {
  /** CRC-32C of revision key ‖ record, as stored. */
  readonly checksum: number;
  /** Bytes of both. */
  readonly size: number;
  readonly tombstone: boolean;
}

/**
 * An entry to recognise a history by: a later snapshot of the same history that still holds this revision holds the
 * same checksum there; a rebuilt cluster at the same addresses doesn't.
 */
export interface Anchor extends Revision {
  readonly checksum: number;
  readonly size: number;
}

/** An entry, and the group of its key. */
export interface GroupedEntry extends Revision {
  readonly group: number;
}

/** At which revision, and as if compacted at which, HashKV is wanted. */
export interface HashPoint {
  readonly revision: bigint;
  /** -1n for a store that was never compacted; left out, the file's own. */
  readonly compactRevision?: bigint;
  /** Leaves out the entries of earlier `--bump-revision`s: the next bump writes the same empty key anew. */
  readonly withoutBumps?: boolean;
  /** Leaves out the entries of keys of this group, of the grouping that the file was judged with. */
  readonly withoutGroup?: number;
}

/** What there is to say about a snapshot once all of it has passed. Plain data. */
export interface SnapshotVerdictData {
  /** True when `problems` is empty. All figures below describe what could be read, and hold only for a sound file. */
  readonly sound: boolean;
  /** The first hundred, in the order found. */
  readonly problems: readonly Problem[];
  readonly problemCount: number;
  /** What is legal but worth knowing, e.g. live keys whose lease is missing, so that they never expire. */
  readonly warnings: readonly Problem[];
  readonly warningCount: number;

  readonly trailer: 'ok' | 'mismatch' | 'missing';
  /** Of the database without the trailer; lower-case hex. */
  readonly sha256: string;
  /** Bytes seen, trailer included. */
  readonly size: number;
  readonly pageSize: number;
  /** pages × pageSize: what `snapshot status` calls total size. */
  readonly totalSize: number;
  readonly pages: number;
  readonly freePages: number;

  /** Main revision of the last entry in bucket `key`, as `snapshot status` prints it; 0n when there is none. */
  readonly revision: bigint;
  /** The revision that etcd would start at: at least 1n, never below the compaction marks. */
  readonly currentRevision: bigint;
  /** The higher one of both compaction marks, -1n when never compacted. */
  readonly compactRevision: bigint;
  /** True when the compaction to `compactRevision` was not finished. */
  readonly compacting: boolean;
  /** User keys alive at the end: `snapshot status` of etcd 3.6 and later. */
  readonly totalKeys: number;
  /** Entries of all buckets: "total keys" of `snapshot status` before 3.6. */
  readonly totalEntries: number;
  /** CRC-32C over all buckets: `snapshot status`. */
  readonly hash: number;
  /** HashKV at `currentRevision` and `compactRevision`. */
  readonly hashKV: number;

  /** As in the file, e.g. `3.6.0`; undefined in files of etcd before 3.6. */
  readonly storageVersion: string | undefined;
  readonly clusterVersion: string | undefined;
  readonly consistentIndex: bigint | undefined;
  readonly term: bigint | undefined;
  readonly members: readonly SnapshotMember[];
  readonly alarms: readonly SnapshotAlarm[];
  readonly leases: number;
  /** Live keys whose lease is not in the file. */
  readonly orphanLeases: number;
  readonly authEnabled: boolean;
  /** Every group with a record, in the order of the grouping's numbers; undefined when no grouping was given. */
  readonly statistics: readonly GroupStatistics[] | undefined;
  /** In the order found; undefined when nobody asked. */
  readonly valuePrefixes: readonly LivePrefix[] | undefined;
}

export interface SnapshotVerdict extends SnapshotVerdictData {
  /**
   * HashKV as a member compacted at `compactRevision` answers it at `revision`. Throws `mvcc.compacted` and
   * `mvcc.future-revision` for what the file's history doesn't reach.
   */
  hashKVAt(point: HashPoint): number;
  /** Undefined when bucket `key` has no such entry. */
  entryAt(revision: Revision): EntryMark | undefined;
  /** At most `count` live entries, spread evenly over the revisions; the same ones for the same content. */
  sampleLiveEntries(count: number): Anchor[];
  /** Where the keys of these groups that are alive at the end of the file were put last, in the order of revisions. */
  liveEntriesOf(groups: readonly number[]): GroupedEntry[];
  /** The entries of bucket `key` that a compaction leaves; see `survivors`. Of a revision as for `hashKVAt`. */
  survivors(compactRevision: bigint): EntryMarks;
}
