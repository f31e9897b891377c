import type { LiveRecords } from './live-records.ts';

/** One bit for each entry of a bucket, in its order. */
export class EntryMarks {
  readonly count: number;
  private readonly bits: Uint8Array;

  constructor(count: number) {
    this.count = count;
    this.bits = new Uint8Array(Math.ceil(count / 8));
  }

  set(index: number): void {
    this.bits[index >>> 3] = (this.bits[index >>> 3] ?? 0) | (1 << (index & 7));
  }

  has(index: number): boolean {
    return ((this.bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }
}

/**
 * Which entries of bucket `key` a compaction at `revision` leaves: all above it, and below of each key the last one,
 * unless that is a deletion before `revision`. A deletion at that very revision stays, as in etcd from 3.4.34, 3.5.16
 * and 3.6 on; older ones drop it, which no answer of theirs shows. `records` must be linked.
 */
export function survivors(records: LiveRecords, revision: number): EntryMarks {
  const { entries } = records;
  const marks = new EntryMarks(records.count);
  let index = 0;
  for (let nth = 0; nth < records.pageCount; nth++) {
    for (let row = records.first(nth); row < records.end(nth); row++, index++) {
      const main = entries.mainOf(row);
      const successor = entries.successorOf(row);
      const isLast = successor < 0 || entries.mainOf(successor) > revision;
      if (main > revision || (isLast && (main === revision || !entries.isTombstone(row)))) marks.set(index);
    }
  }
  return marks;
}
