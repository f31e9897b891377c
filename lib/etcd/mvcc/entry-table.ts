import { joinCrc32c, splitCrc32c } from '../crc32c.ts';
import { RowTable } from '../row-table.ts';
import {
  encodeRevisionKey,
  isRevisionKey,
  readMain,
  readSub,
  type Revision,
  TOMBSTONE_KEY_SIZE,
} from './revision.ts';

// Fields of a row: 24 bytes an entry, 28 with groups.
const MAIN = 0; // the low half
const KEY_HASH = 4; // first half of the user key's hash; once linked, the successor's row + 1, or 0
const KEY_HASH_2 = 8;
const CHECKSUM = 12; // CRC-32C of the page's entries up to and including this one
const SIZE = 16; // bytes of revision key and record, and two flags
const CONTINUITY = 20;
const GROUP = 24; // and in the high byte the number of the value's prefix

const TOMBSTONE = 0x8000_0000;
const SUB_STORED = 0x4000_0000;
const SIZE_MASK = 0x3fff_ffff;

/** The most bytes that a revision key and its record may have together. */
export const MAX_ENTRY_SIZE = SIZE_MASK;

/** The group of entries that belong to none, and of those that are one too many. */
export const NO_GROUP = 0xff_ffff;

/** Bytes that an entry takes when nothing about it is usual, its lease included. */
export const MAX_ROW_SIZE = 28 + 8 + 8 + 12;

export interface NewEntry {
  main: number;
  sub: number;
  tombstone: boolean;
  /** Of the user key; both halves, as int32. */
  keyHash: number;
  keyHash2: number;
  /** CRC-32C of the page's entries up to and including this one. */
  checksum: number;
  /** Bytes of revision key and record. */
  size: number;
  continuity: number;
  /** Up to `NO_GROUP`. */
  group: number;
  /** Of the value; below 256. */
  valuePrefix: number;
}

/**
 * What is kept of the MVCC entries that passed, live or not: rows in the order of passing, so that the entries of a
 * page stand together, ascending by revision.
 *
 * A main revision is kept as its low half; the high half is noted where it changes from one row to the next. A sub is
 * implied where it is 0, or one above its predecessor's in the same main revision and page, as it is nearly always;
 * others are kept in a table of their own.
 */
export class EntryTable {
  private readonly rows: RowTable;
  private readonly grouped: boolean;
  /** (row, high half of main) from this row on. */
  private readonly epochs = new RowTable(8);
  /** (row, sub). */
  private readonly subs = new RowTable(8);
  private lastHigh = 0;
  private lastMain = -1;
  private lastSub = -1;
  private pageStarts = true;
  /** The epoch last looked up: rows [from, to) have this high half. */
  private epoch = { from: 0, to: 0, high: 0 };

  constructor(grouped: boolean) {
    this.grouped = grouped;
    this.rows = new RowTable(grouped ? 28 : 24);
  }

  get length(): number {
    return this.rows.length;
  }

  /** Bytes kept. */
  get size(): number {
    return this.rows.size + this.subs.size + this.epochs.size;
  }

  /** The next entry is the first of a page. */
  startPage(): void {
    this.pageStarts = true;
  }

  add(entry: NewEntry): void {
    const row = this.rows.add();
    const chunk = this.rows.chunk(row);
    const at = this.rows.at(row);
    const implied = entry.main !== this.lastMain ? 0 : this.pageStarts ? -1 : this.lastSub + 1;
    let size = entry.tombstone ? entry.size | TOMBSTONE : entry.size;
    if (entry.sub !== implied) {
      size |= SUB_STORED;
      const sub = this.subs.add();
      this.subs.set(sub, 0, row);
      this.subs.set(sub, 4, entry.sub);
    }
    const high = Math.floor(entry.main / 0x1_0000_0000);
    if (high !== this.lastHigh) {
      const epoch = this.epochs.add();
      this.epochs.set(epoch, 0, row);
      this.epochs.set(epoch, 4, high);
      this.lastHigh = high;
      this.epoch.to = 0;
    }
    this.lastMain = entry.main;
    this.lastSub = entry.sub;
    this.pageStarts = false;
    chunk.setUint32(at + MAIN, entry.main % 0x1_0000_0000, true);
    chunk.setInt32(at + KEY_HASH, entry.keyHash, true);
    chunk.setInt32(at + KEY_HASH_2, entry.keyHash2, true);
    chunk.setUint32(at + CHECKSUM, entry.checksum, true);
    chunk.setUint32(at + SIZE, size, true);
    chunk.setUint32(at + CONTINUITY, entry.continuity, true);
    if (this.grouped) chunk.setUint32(at + GROUP, entry.group | (entry.valuePrefix << 24), true);
  }

  /** Forgets the rows from `length` on, which must be where a page began. */
  truncate(length: number): void {
    this.rows.truncate(length);
    this.subs.truncate(this.subs.lowerBound(0, length));
    this.epochs.truncate(this.epochs.lowerBound(0, length));
    this.epoch.to = 0;
    this.lastHigh = this.epochs.length === 0 ? 0 : this.epochs.get(this.epochs.length - 1, 4);
    this.lastMain = length === 0 ? -1 : this.mainOf(length - 1);
    this.pageStarts = true;
  }

  mainOf(row: number): number {
    const low = this.rows.get(row, MAIN);
    return this.epochs.length === 0 ? low : this.highOf(row) * 0x1_0000_0000 + low;
  }

  /** Walks back at most to the start of the row's page. */
  subOf(row: number): number {
    let steps = 0;
    for (let at = row; ; at--, steps++) {
      if ((this.rows.get(at, SIZE) & SUB_STORED) !== 0) {
        return this.subs.get(this.subs.lowerBound(0, at), 4) + steps;
      }
      if (at === 0 || this.mainOf(at - 1) !== this.mainOf(at)) return steps;
    }
  }

  /** Negative, zero or positive as the entry's name comes before, is, or comes after `key` in bytewise order. */
  compareToKey(row: number, key: Buffer): number {
    if (!isRevisionKey(key, 0, key.length))
      return encodeRevisionKey(this.revisionOf(row), this.isTombstone(row)).compare(key);
    const tombstone = key.length === TOMBSTONE_KEY_SIZE;
    return (
      this.mainOf(row) - readMain(key, 0) ||
      this.subOf(row) - readSub(key, 0) ||
      Number(this.isTombstone(row)) - Number(tombstone)
    );
  }

  sizeOf(row: number): number {
    return this.rows.get(row, SIZE) & SIZE_MASK;
  }

  isTombstone(row: number): boolean {
    return (this.rows.get(row, SIZE) & TOMBSTONE) !== 0;
  }

  checksumUpTo(row: number): number {
    return this.rows.get(row, CHECKSUM);
  }

  continuityOf(row: number): number {
    return this.rows.get(row, CONTINUITY);
  }

  groupOf(row: number): number {
    return this.grouped ? this.rows.get(row, GROUP) & NO_GROUP : NO_GROUP;
  }

  /** 0 where none was noted. */
  valuePrefixOf(row: number): number {
    return this.grouped ? this.rows.get(row, GROUP) >>> 24 : 0;
  }

  revisionOf(row: number): Revision {
    return { main: BigInt(this.mainOf(row)), sub: BigInt(this.subOf(row)) };
  }

  /** Continues `seed` with the entries [from, to) of the page that begins at row `pageStart`. */
  checksumOf(from: number, to: number, pageStart: number, seed: number): number {
    if (from === to) return seed;
    let size = 0;
    for (let row = from; row < to; row++) size += this.sizeOf(row);
    const upTo = this.checksumUpTo(to - 1);
    return joinCrc32c(
      seed,
      from === pageStart ? upTo : splitCrc32c(upTo, this.checksumUpTo(from - 1), size),
      size,
    );
  }

  keyHashOf(row: number): number {
    return this.rows.get(row, KEY_HASH);
  }

  hasEqualKey(row: number, other: number): boolean {
    const a = this.rows.chunk(row);
    const b = this.rows.chunk(other);
    const atA = this.rows.at(row);
    const atB = this.rows.at(other);
    return (
      a.getUint32(atA + KEY_HASH, true) === b.getUint32(atB + KEY_HASH, true) &&
      a.getUint32(atA + KEY_HASH_2, true) === b.getUint32(atB + KEY_HASH_2, true)
    );
  }

  /** Notes the next entry of the same user key, in the place of the key's hash: -1 when there is none. */
  link(row: number, successor: number): void {
    this.rows.set(row, KEY_HASH, successor + 1);
  }

  /** Of a linked row; -1 when there is none. */
  successorOf(row: number): number {
    return this.rows.get(row, KEY_HASH) - 1;
  }

  private highOf(row: number): number {
    const { epoch } = this;
    if (row < epoch.from || row >= epoch.to) {
      const next = this.epochs.lowerBound(0, row + 1);
      epoch.from = next === 0 ? 0 : this.epochs.get(next - 1, 0);
      epoch.to = next === this.epochs.length ? Infinity : this.epochs.get(next, 0);
      epoch.high = next === 0 ? 0 : this.epochs.get(next - 1, 4);
    }
    return epoch.high;
  }
}
