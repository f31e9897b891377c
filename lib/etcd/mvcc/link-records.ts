import type { ProblemList } from '../problem-list.ts';
import type { Continuity } from './continuity.ts';
import type { LiveRecords } from './live-records.ts';
import { REVISION_KEY_SIZE } from './revision.ts';

export interface CompactionState {
  /** The higher one of both compaction marks, -1 when never compacted. */
  readonly compactRevision: number;
  /** True when that compaction was not finished. */
  readonly compacting: boolean;
}

/**
 * Goes through bucket `key` once in order, links each entry to the next one of the same user key, and checks what
 * relates entries to each other: revisions ascend across pages, and the entries of each key are lives of it. A life
 * begins with version 1 and create_revision = its main revision, goes on without gaps, and may end in a tombstone;
 * only what is not above the compaction may be missing. Returns the number of keys alive at the end.
 */
export function linkRecords(
  records: LiveRecords,
  continuity: Continuity,
  compaction: CompactionState,
  problems: ProblemList,
  pageSize: number,
): number {
  const { entries } = records;
  const latest = new LatestEntries(records);
  for (let nth = 0; nth < records.pageCount; nth++) {
    const report = (row: number, code: string, text: string): void => {
      const page = records.page(nth);
      const key = records.revisionOf(row);
      problems.add({ code, message: `revision ${key}: ${text}`, page, offset: page * pageSize, key });
    };
    const first = records.first(nth);
    if (nth > 0 && !isAbove(records, records.end(nth - 1) - 1, first)) {
      report(first, 'mvcc.order', 'is not above the entry before it');
    }
    for (let row = first; row < records.end(nth); row++) {
      const previous = latest.replace(row);
      const fault = lifeFault(entries, continuity, compaction, previous, row);
      if (fault !== undefined) report(row, fault.code, fault.text);
      if (previous >= 0) entries.link(previous, row);
    }
  }
  return latest.finish();
}

/** The latest entry of each user key so far: open addressing, four bytes a slot. */
class LatestEntries {
  private readonly records: LiveRecords;
  /** Rows + 1; 0 is free. */
  private readonly slots: Uint32Array;

  constructor(records: LiveRecords) {
    this.records = records;
    let size = 1024;
    while (size < records.count * 1.25) size *= 2;
    this.slots = new Uint32Array(size);
  }

  /** Makes `row` the latest of its key and returns the one before; -1 when it is the first. */
  replace(row: number): number {
    const { entries } = this.records;
    const mask = this.slots.length - 1;
    for (let slot = entries.keyHashOf(row) & mask; ; slot = (slot + 1) & mask) {
      const other = (this.slots[slot] ?? 0) - 1;
      if (other < 0 || entries.hasEqualKey(other, row)) {
        this.slots[slot] = row + 1;
        return other;
      }
    }
  }

  /** Marks every latest entry as having no successor; returns how many are not tombstones. */
  finish(): number {
    const { entries } = this.records;
    let alive = 0;
    for (const slot of this.slots) {
      if (slot === 0) continue;
      entries.link(slot - 1, -1);
      if (!entries.isTombstone(slot - 1)) alive++;
    }
    return alive;
  }
}

/** What is wrong with `row` coming after `previous` (-1: after nothing) in the history of its key. */
function lifeFault(
  entries: LiveRecords['entries'],
  continuity: Continuity,
  { compactRevision, compacting }: CompactionState,
  previous: number,
  row: number,
): { readonly code: string; readonly text: string } | undefined {
  const main = entries.mainOf(row);
  const tombstone = entries.isTombstone(row);
  if (previous >= 0 && entries.mainOf(previous) === main) {
    return { code: 'mvcc.key-twice', text: 'its transaction changes the same key twice' };
  }
  if (!compacting && main <= compactRevision) {
    if (previous >= 0) {
      return { code: 'mvcc.compaction', text: 'a compaction should have removed the entry before it' };
    }
    if (tombstone && main < compactRevision) {
      return { code: 'mvcc.compaction', text: 'a compaction should have removed this tombstone' };
    }
  }
  const mayBeCut = previous < 0 && main <= compactRevision;
  const dead = previous < 0 || entries.isTombstone(previous);
  if (tombstone) {
    return dead && !mayBeCut ? { code: 'mvcc.life', text: 'deletes a key that does not exist' } : undefined;
  }
  // A bump record is the only put without content, and the key that it has none of is never put otherwise.
  if (mayBeCut || entries.sizeOf(row) === REVISION_KEY_SIZE) return undefined;
  const expected = dead
    ? entries.continuityOf(row) === continuity.of(main, 1)
    : continuity.follows(entries.continuityOf(previous), entries.continuityOf(row));
  if (expected) return undefined;
  const text = dead ? 'should be the first version of its key' : 'should be the next version of its key';
  return { code: 'mvcc.life', text };
}

function isAbove(records: LiveRecords, previous: number, row: number): boolean {
  const { entries } = records;
  const order =
    entries.mainOf(row) - entries.mainOf(previous) || entries.subOf(row) - entries.subOf(previous);
  return order > 0;
}
