import { NO_GROUP } from './entry-table.ts';
import type { LiveRecords } from './live-records.ts';
import type { GroupStatistics, KeyGrouping } from './snapshot-verdict.ts';

/** Sums up linked records by the group of their key, in the order of group numbers. */
export function keyStatistics(records: LiveRecords, grouping: KeyGrouping): GroupStatistics[] {
  const { entries } = records;
  const groups: Tally[] = [];
  for (let nth = 0; nth < records.pageCount; nth++) {
    for (let row = records.first(nth); row < records.end(nth); row++) {
      const group = entries.groupOf(row);
      if (group === NO_GROUP) continue;
      const tally = (groups[group] ??= { liveKeys: 0, liveBytes: 0, historyEntries: 0, historyBytes: 0 });
      if (!entries.isTombstone(row) && entries.successorOf(row) < 0) {
        tally.liveKeys++;
        tally.liveBytes += entries.sizeOf(row);
      } else {
        tally.historyEntries++;
        tally.historyBytes += entries.sizeOf(row);
      }
    }
  }
  // Groups that only stale records belong to are holes, which flatMap leaves out.
  return groups.flatMap((tally, group) => [{ name: grouping.nameOf(group), ...tally }]);
}

interface Tally {
  liveKeys: number;
  liveBytes: number;
  historyEntries: number;
  historyBytes: number;
}
