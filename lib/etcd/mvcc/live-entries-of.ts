import type { LiveRecords } from './live-records.ts';
import type { GroupedEntry } from './snapshot-verdict.ts';

/** The entries that are the last ones of their keys, and no deletions, of keys in these groups. `records` are linked. */
export function liveEntriesOf(records: LiveRecords, groups: ReadonlySet<number>): GroupedEntry[] {
  const { entries } = records;
  const found: GroupedEntry[] = [];
  for (let nth = 0; nth < records.pageCount; nth++) {
    for (let row = records.first(nth); row < records.end(nth); row++) {
      const group = entries.groupOf(row);
      if (!groups.has(group) || entries.isTombstone(row) || entries.successorOf(row) >= 0) continue;
      found.push({ ...entries.revisionOf(row), group });
    }
  }
  return found;
}
