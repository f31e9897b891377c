import { Buffer } from 'node:buffer';
import type { EntryTable } from './entry-table.ts';
import type { LiveRecords } from './live-records.ts';
import type { LivePrefix, ValuePrefixes } from './snapshot-verdict.ts';

/** The number of values that don't begin with the marker. */
export const NO_PREFIX = 0;

/** Numbers fit into a byte. Prefixes beyond the first 64, and those that have no end, share the marker's own. */
const MARKER_ONLY = 1;
const MAX_PREFIXES = 64;
const MAX_PREFIX_BYTES = 512;
const COLON = 0x3a;

/** Numbers the prefixes that values begin with; see `ValuePrefixes`. Costs one comparison for nearly every value. */
export class ValueCensus {
  private readonly marker: Buffer;
  private readonly markerStart: number;
  private readonly fields: number;
  /** By number. */
  private readonly prefixes: Buffer[];
  private last = MARKER_ONLY;

  constructor({ marker, fields }: ValuePrefixes) {
    this.marker = Buffer.from(marker, 'latin1');
    if (this.marker.length < 4) throw new RangeError('a marker has at least 4 bytes');
    this.markerStart = this.marker.readUInt32BE(0);
    this.fields = fields;
    this.prefixes = [Buffer.alloc(0), this.marker];
  }

  /** The number of the prefix of the value [start, end). */
  numberOf(view: DataView, bytes: Buffer, start: number, end: number): number {
    if (end - start < this.marker.length || view.getUint32(start) !== this.markerStart) return NO_PREFIX;
    if (this.marker.compare(bytes, start, start + this.marker.length) !== 0) return NO_PREFIX;
    const prefixEnd = this.prefixEnd(bytes, start, end);
    if (prefixEnd === undefined) return MARKER_ONLY;
    if (!this.isPrefix(this.last, bytes, start, prefixEnd)) this.last = this.find(bytes, start, prefixEnd);
    return this.last;
  }

  /** How many live keys each prefix has, in the order found; those without any are left out. */
  live(records: LiveRecords): LivePrefix[] {
    const counts = new Array<number>(this.prefixes.length).fill(0);
    if (this.prefixes.length > MARKER_ONLY) this.count(records, records.entries, counts);
    return this.prefixes.flatMap((prefix, number) => {
      const liveKeys = number === NO_PREFIX ? 0 : (counts[number] ?? 0);
      return liveKeys === 0 ? [] : [{ prefix: prefix.toString('latin1'), liveKeys }];
    });
  }

  private count(records: LiveRecords, entries: EntryTable, counts: number[]): void {
    for (let nth = 0; nth < records.pageCount; nth++) {
      for (let row = records.first(nth); row < records.end(nth); row++) {
        const number = entries.valuePrefixOf(row);
        if (number === NO_PREFIX || entries.isTombstone(row) || entries.successorOf(row) >= 0) continue;
        counts[number] = (counts[number] ?? 0) + 1;
      }
    }
  }

  private prefixEnd(bytes: Buffer, start: number, end: number): number | undefined {
    const limit = Math.min(end, start + MAX_PREFIX_BYTES);
    let missing = this.fields;
    for (let at = start + this.marker.length; at < limit; at++) {
      if (bytes[at] === COLON && --missing === 0) return at + 1;
    }
    return undefined;
  }

  private find(bytes: Buffer, start: number, end: number): number {
    const known = this.prefixes.findIndex((_, number) => this.isPrefix(number, bytes, start, end));
    if (known >= 0) return known;
    if (this.prefixes.length > MARKER_ONLY + MAX_PREFIXES) return MARKER_ONLY;
    return this.prefixes.push(Buffer.from(bytes.subarray(start, end))) - 1;
  }

  private isPrefix(number: number, bytes: Buffer, start: number, end: number): boolean {
    const prefix = this.prefixes[number];
    return prefix?.length === end - start && prefix.compare(bytes, start, end) === 0;
  }
}
