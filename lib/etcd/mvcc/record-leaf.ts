import type { PageFault } from '../bolt/page-index.ts';
import { ELEMENT_SIZE, PAGE_HEADER_SIZE } from '../bolt/page.ts';
import type { ByteWindow } from '../byte-window.ts';
import { crc32cOfRange } from '../crc32c.ts';
import { CanonicalRecord } from './canonical-record.ts';
import { Continuity } from './continuity.ts';
import { type EntryTable, MAX_ENTRY_SIZE, type NewEntry, NO_GROUP } from './entry-table.ts';
import type { LeasedEntries } from './leased-entries.ts';
import { isRevisionKey, REVISION_KEY_SIZE, TOMBSTONE_KEY_SIZE } from './revision.ts';
import type { KeyGrouping } from './snapshot-verdict.ts';
import { UserKeyHash } from './user-key-hash.ts';
import { NO_PREFIX, type ValueCensus } from './value-census.ts';

/** True when the leaf page at `page` starts with an entry of bucket `key`. */
export function startsWithRecord({ view, bytes }: ByteWindow, page: number, end: number): boolean {
  const element = page + PAGE_HEADER_SIZE;
  if (element + ELEMENT_SIZE > end) return false;
  const start = element + view.getUint32(element + 4, true);
  const size = view.getUint32(element + 8, true);
  return start + size <= end && isRevisionKey(bytes, start, size);
}

/**
 * Reads leaf pages of bucket `key` into the entry table: each entry's form, its record, and the order within the
 * page are checked here; what relates it to others, at the end. This is where nearly all of a verification's time
 * goes.
 */
export class RecordLeafReader {
  readonly continuity = new Continuity();
  private readonly entries: EntryTable;
  private readonly leased: LeasedEntries;
  private readonly grouping: KeyGrouping | undefined;
  private readonly census: ValueCensus | undefined;
  private readonly keyHash = new UserKeyHash();
  private readonly record = new CanonicalRecord();
  private readonly entry: NewEntry = {
    main: 0,
    sub: 0,
    tombstone: false,
    keyHash: 0,
    keyHash2: 0,
    checksum: 0,
    size: 0,
    continuity: 0,
    group: NO_GROUP,
    valuePrefix: NO_PREFIX,
  };

  constructor(
    entries: EntryTable,
    leased: LeasedEntries,
    grouping: KeyGrouping | undefined,
    census: ValueCensus | undefined,
  ) {
    this.entries = entries;
    this.leased = leased;
    this.grouping = grouping;
    this.census = census;
  }

  /** Adds the entries of the leaf page [page, end), or, when there is a fault, none of them. */
  read(window: ByteWindow, page: number, end: number): PageFault | undefined {
    const before = this.entries.length;
    const fault = this.readElements(window, page, end);
    if (fault === undefined) return undefined;
    this.entries.truncate(before);
    this.leased.truncate(before);
    return fault;
  }

  private readElements(window: ByteWindow, page: number, end: number): PageFault | undefined {
    const { view } = window;
    const { entry } = this;
    const count = view.getUint16(page + 10, true);
    const elementsEnd = page + PAGE_HEADER_SIZE + count * ELEMENT_SIZE;
    if (elementsEnd > end) return elementsFault(`${count} elements do not fit the page`);
    this.entries.startPage();
    entry.checksum = 0;
    let free = elementsEnd;
    let lastMain = -1;
    let lastSub = -1;
    for (let element = page + PAGE_HEADER_SIZE; element < elementsEnd; element += ELEMENT_SIZE) {
      const start = element + view.getUint32(element + 4, true);
      const keySize = view.getUint32(element + 8, true);
      const recordStart = start + keySize;
      const recordEnd = recordStart + view.getUint32(element + 12, true);
      if (start < free || recordEnd > end) return elementsFault('an element points outside its place');
      if (view.getUint32(element, true) !== 0) return elementsFault('an element is flagged as a bucket');
      free = recordEnd;
      const tombstone = keySize === TOMBSTONE_KEY_SIZE;
      if (!isRevision(view, start, keySize)) {
        return { code: 'mvcc.revision-key', text: 'an entry is not named by a revision' };
      }
      entry.main = view.getUint32(start) * 0x1_0000_0000 + view.getUint32(start + 4);
      entry.sub = view.getUint32(start + 13);
      if (entry.main < lastMain || (entry.main === lastMain && entry.sub <= lastSub)) {
        return {
          code: 'bolt.page-order',
          text: `revision ${entry.main}_${entry.sub} is not above its predecessor`,
        };
      }
      lastMain = entry.main;
      lastSub = entry.sub;
      entry.tombstone = tombstone;
      entry.size = recordEnd - start;
      const fault = this.recordFault(view, recordStart, recordEnd);
      if (fault !== undefined) {
        return { code: 'mvcc.record', text: `revision ${entry.main}_${entry.sub}: ${fault}` };
      }
      entry.checksum = crc32cOfRange(window, start, recordEnd, entry.checksum);
      this.add(window);
    }
    return undefined;
  }

  /** Reads the record and says what is wrong with it as such. */
  private recordFault(view: DataView, start: number, end: number): string | undefined {
    const { record, entry } = this;
    if (entry.size > MAX_ENTRY_SIZE) return `has ${entry.size} bytes`;
    if (entry.main === 0) return 'etcd starts counting at 1';
    if (!record.read(view, start, end)) return 'its record is not one that etcd writes';
    if (entry.tombstone) {
      return record.keyEnd === end && end > start ? undefined : 'a tombstone holds more or less than a key';
    }
    // `snapshot restore --bump-revision` leaves a record without any content.
    if (start === end) return undefined;
    if (record.keyStart === record.keyEnd) return 'its record has no key';
    if (record.modRevision !== entry.main) return `its record says mod_revision ${record.modRevision}`;
    if (record.createRevision === 0 || record.createRevision > entry.main) {
      return `its record says create_revision ${record.createRevision}`;
    }
    if (record.version === 0 || record.version > entry.main - record.createRevision + 1) {
      return `its record says version ${record.version}, created at ${record.createRevision}`;
    }
    return undefined;
  }

  private add(window: ByteWindow): void {
    const { record, entry, keyHash, grouping, census } = this;
    keyHash.hash(window.view, record.keyStart, record.keyEnd);
    entry.keyHash = keyHash.first;
    entry.keyHash2 = keyHash.second;
    entry.continuity = this.continuity.of(record.createRevision, record.version);
    if (grouping !== undefined) {
      const hasKey = record.keyEnd > record.keyStart;
      const group = hasKey ? grouping.groupOf(window.bytes, record.keyStart, record.keyEnd) : NO_GROUP;
      entry.group = Math.min(group, NO_GROUP);
    }
    if (census !== undefined) {
      const { valueStart, valueEnd } = record;
      entry.valuePrefix = census.numberOf(window.view, window.bytes, valueStart, valueEnd);
    }
    if (record.leaseLow !== 0 || record.leaseHigh !== 0) {
      this.leased.add(this.entries.length, record.leaseHigh, record.leaseLow);
    }
    this.entries.add(entry);
  }
}

function elementsFault(text: string): PageFault {
  return { code: 'bolt.page-elements', text };
}

/** As `isRevisionKey`, for the hot path; the record's bounds were checked. */
function isRevision(view: DataView, start: number, size: number): boolean {
  return (
    (size === REVISION_KEY_SIZE || (size === TOMBSTONE_KEY_SIZE && view.getUint8(start + 17) === 0x74)) &&
    view.getUint8(start + 8) === 0x5f &&
    view.getUint32(start) < 0x20_0000 &&
    view.getUint32(start + 9) === 0
  );
}
