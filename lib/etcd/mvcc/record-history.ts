import { GuardianError } from '../../guardian-error.ts';
import type { ProblemList } from '../problem-list.ts';
import { entryAt, sampleLiveEntries } from './anchors.ts';
import type { Continuity } from './continuity.ts';
import { hashKV } from './hash-kv.ts';
import { keyStatistics } from './key-statistics.ts';
import type { LeasedEntries } from './leased-entries.ts';
import { linkRecords } from './link-records.ts';
import { liveEntriesOf } from './live-entries-of.ts';
import type { LiveRecords } from './live-records.ts';
import type { Revision } from './revision.ts';
import type {
  Anchor,
  EntryMark,
  GroupedEntry,
  GroupStatistics,
  HashPoint,
  KeyGrouping,
} from './snapshot-verdict.ts';
import type { StoreFacts } from './store-facts.ts';
import { type EntryMarks, survivors } from './survivors.ts';

/** What bucket `key` of one file says, read together with the compaction marks and leases of the same file. */
export class RecordHistory {
  /** Main revision of the last entry; 0 when there is none. */
  readonly revision: number;
  /** The revision that an etcd started from the file is at. */
  readonly currentRevision: number;
  /** -1 when never compacted. */
  readonly compactRevision: number;
  readonly compacting: boolean;
  readonly liveKeys: number;
  private readonly records: LiveRecords;

  constructor(
    records: LiveRecords,
    continuity: Continuity,
    facts: StoreFacts,
    problems: ProblemList,
    pageSize: number,
  ) {
    this.records = records;
    const { scheduledCompaction, finishedCompaction } = facts;
    const last = records.last;
    this.revision = last === undefined ? 0 : records.entries.mainOf(last);
    this.compactRevision = Math.max(scheduledCompaction, finishedCompaction);
    this.currentRevision = Math.max(this.revision, this.compactRevision, 1);
    this.compacting = scheduledCompaction > finishedCompaction;
    this.liveKeys = linkRecords(records, continuity, this, problems, pageSize);
  }

  /** Throws `mvcc.compacted` and `mvcc.future-revision` for what the file doesn't hold. */
  hashKVAt(point: HashPoint): number {
    const revision = Number(point.revision);
    const compactRevision = Number(point.compactRevision ?? this.compactRevision);
    if (revision > this.currentRevision) {
      throw new GuardianError(
        'mvcc.future-revision',
        `revision ${revision} is not in the file, which ends at ${this.currentRevision}`,
        { hint: `Ask for a revision up to ${this.currentRevision}.` },
      );
    }
    if (revision < compactRevision || compactRevision < this.compactRevision) {
      throw new GuardianError(
        'mvcc.compacted',
        `the file is compacted at ${this.compactRevision}: it can't tell the hash at revision ${revision} of a store compacted at ${compactRevision}`,
        { hint: `Ask for a compaction from ${this.compactRevision} up to the revision.` },
      );
    }
    const { withoutBumps, withoutGroup } = point;
    return hashKV(this.records, { revision, compactRevision, withoutBumps, withoutGroup });
  }

  entryAt(revision: Revision): EntryMark | undefined {
    return entryAt(this.records, revision);
  }

  sampleLiveEntries(count: number): Anchor[] {
    return sampleLiveEntries(this.records, this.liveKeys, count);
  }

  liveEntriesOf(groups: readonly number[]): GroupedEntry[] {
    return liveEntriesOf(this.records, new Set(groups));
  }

  survivors(compactRevision: bigint): EntryMarks {
    return survivors(this.records, Number(compactRevision));
  }

  statistics(grouping: KeyGrouping): GroupStatistics[] {
    return keyStatistics(this.records, grouping);
  }

  /**
   * Counts live entries whose lease the file doesn't know: etcd starts with them, but they never expire. Calls back
   * for each.
   */
  countOrphans(
    leased: LeasedEntries,
    facts: StoreFacts,
    found: (revision: string, lease: bigint) => void,
  ): number {
    const { entries } = this.records;
    let orphans = 0;
    for (let nth = 0; nth < this.records.pageCount; nth++) {
      leased.each(this.records.first(nth), this.records.end(nth), (row, leaseHigh, leaseLow) => {
        if (entries.successorOf(row) >= 0 || facts.leases.has(leaseHigh, leaseLow)) return;
        orphans++;
        found(this.records.revisionOf(row), (BigInt(leaseHigh) << 32n) | BigInt(leaseLow));
      });
    }
    return orphans;
  }
}
