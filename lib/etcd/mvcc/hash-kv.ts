import { crc32c } from '../crc32c.ts';
import type { EntryTable } from './entry-table.ts';
import type { LiveRecords } from './live-records.ts';
import { REVISION_KEY_SIZE } from './revision.ts';

/** `HashPoint`, filled in. */
export interface HashSpan {
  readonly revision: number;
  readonly compactRevision: number;
  readonly withoutBumps?: boolean | undefined;
  readonly withoutGroup?: number | undefined;
}

const BUCKET_NAME = Buffer.from('key');

/**
 * HashKV at `revision` of a store compacted at `compactRevision` (-1: never): the CRC-32C of bucket `key`'s name and
 * of those entries that count. `records` must be linked and reach up to `revision`, and not be compacted above
 * `compactRevision` themselves. (etcd: server/storage/mvcc/hash.go.)
 *
 * Up to the compaction, the entries count that are the latest of a key alive at `revision`; when no key is alive
 * then, those that a compaction leaves, the latest of keys alive at the compaction. A tombstone at the compaction
 * itself, which newer versions of etcd keep, never counts.
 */
export function hashKV(
  records: LiveRecords,
  { revision, compactRevision, withoutBumps = false, withoutGroup }: HashSpan,
): number {
  const { entries } = records;
  const latestAt = isAnyKeyAlive(records, revision) ? revision : compactRevision;
  const counts = (row: number): boolean => {
    const main = entries.mainOf(row);
    if (withoutBumps && isBump(entries, row)) return false;
    if (withoutGroup !== undefined && entries.groupOf(row) === withoutGroup) return false;
    return main <= revision && (main > compactRevision || isAlive(entries, row, latestAt));
  };
  let hash = crc32c(BUCKET_NAME);
  for (let nth = 0; nth < records.pageCount; nth++) {
    const pageStart = records.first(nth);
    const end = records.end(nth);
    let from = pageStart;
    for (let row = pageStart; row < end; row++) {
      if (counts(row)) continue;
      hash = entries.checksumOf(from, row, pageStart, hash);
      from = row + 1;
    }
    hash = entries.checksumOf(from, end, pageStart, hash);
  }
  return hash;
}

function isAnyKeyAlive(records: LiveRecords, revision: number): boolean {
  const { entries } = records;
  for (let nth = 0; nth < records.pageCount; nth++) {
    for (let row = records.first(nth); row < records.end(nth); row++) {
      if (entries.mainOf(row) > revision) return false;
      if (isAlive(entries, row, revision)) return true;
    }
  }
  return false;
}

/** The entry that `--bump-revision` makes is the only one without a value: it has the empty user key. */
function isBump(entries: EntryTable, row: number): boolean {
  return entries.sizeOf(row) === REVISION_KEY_SIZE;
}

/** True when the entry, which is not above `revision`, is its key's value at that revision. */
function isAlive(entries: EntryTable, row: number, revision: number): boolean {
  if (entries.isTombstone(row)) return false;
  const successor = entries.successorOf(row);
  return successor < 0 || entries.mainOf(successor) > revision;
}
