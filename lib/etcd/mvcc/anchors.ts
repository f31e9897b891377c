import { REVISION_KEY_SIZE, type Revision } from './revision.ts';
import type { LiveRecords } from './live-records.ts';
import type { Anchor, EntryMark } from './snapshot-verdict.ts';

/** The entry of a revision; undefined when bucket `key` has none. */
export function entryAt(records: LiveRecords, { main, sub }: Revision): EntryMark | undefined {
  const found = records.find(Number(main), Number(sub));
  if (found === undefined) return undefined;
  const { entries } = records;
  return {
    checksum: entries.checksumOf(found.row, found.row + 1, found.pageStart, 0),
    size: entries.sizeOf(found.row),
    tombstone: entries.isTombstone(found.row),
  };
}

/**
 * At most `count` of the live entries of linked records, spread evenly. `liveKeys` is their number, bump records
 * included, which are no anchors: any restore may write the same one.
 */
export function sampleLiveEntries(records: LiveRecords, liveKeys: number, count: number): Anchor[] {
  const { entries } = records;
  const anchors: Anchor[] = [];
  const step = Math.max(1, liveKeys / count);
  let seen = 0;
  for (let nth = 0; nth < records.pageCount && anchors.length < count; nth++) {
    const pageStart = records.first(nth);
    for (let row = pageStart; row < records.end(nth) && anchors.length < count; row++) {
      if (entries.isTombstone(row) || entries.successorOf(row) >= 0) continue;
      if (entries.sizeOf(row) === REVISION_KEY_SIZE) continue;
      seen++;
      if (seen <= (anchors.length + 0.5) * step) continue;
      anchors.push({
        ...entries.revisionOf(row),
        checksum: entries.checksumOf(row, row + 1, pageStart, 0),
        size: entries.sizeOf(row),
      });
    }
  }
  return anchors;
}
