import { RowTable } from '../row-table.ts';

const ENTRY = 0;
const LEASE_HIGH = 4;
const LEASE_LOW = 8;
const KEY_HASH = 12;

/** Calls back with an entry's number, the halves of its lease's id, and the first half of its user key's hash. */
export type LeasedEntry = (entry: number, leaseHigh: number, leaseLow: number, keyHash: number) => void;

/** Which entries were put under which lease: 16 bytes for each that was. */
export class LeasedEntries {
  private readonly rows = new RowTable(16);

  /** Bytes kept. */
  get size(): number {
    return this.rows.size;
  }

  /** `keyHash`: the half that the entry table doesn't keep. */
  add(entry: number, leaseHigh: number, leaseLow: number, keyHash: number): void {
    const row = this.rows.add();
    this.rows.set(row, ENTRY, entry);
    this.rows.set(row, LEASE_HIGH, leaseHigh);
    this.rows.set(row, LEASE_LOW, leaseLow);
    this.rows.set(row, KEY_HASH, keyHash);
  }

  /** Forgets the entries from number `entry` on. */
  truncate(entry: number): void {
    this.rows.truncate(this.rows.lowerBound(ENTRY, entry));
  }

  /** Calls back for each of the entries [from, to) that has a lease. */
  each(from: number, to: number, found: LeasedEntry): void {
    for (let row = this.rows.lowerBound(ENTRY, from); row < this.rows.length; row++) {
      const entry = this.rows.get(row, ENTRY);
      if (entry >= to) return;
      const { rows } = this;
      found(entry, rows.get(row, LEASE_HIGH), rows.get(row, LEASE_LOW), rows.get(row, KEY_HASH));
    }
  }
}
