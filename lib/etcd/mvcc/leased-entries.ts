import { RowTable } from '../row-table.ts';

const ENTRY = 0;
const LEASE_HIGH = 4;
const LEASE_LOW = 8;

/** Which entries were put under which lease: 12 bytes for each that was. */
export class LeasedEntries {
  private readonly rows = new RowTable(12);

  /** Bytes kept. */
  get size(): number {
    return this.rows.size;
  }

  add(entry: number, leaseHigh: number, leaseLow: number): void {
    const row = this.rows.add();
    this.rows.set(row, ENTRY, entry);
    this.rows.set(row, LEASE_HIGH, leaseHigh);
    this.rows.set(row, LEASE_LOW, leaseLow);
  }

  /** Forgets the entries from number `entry` on. */
  truncate(entry: number): void {
    this.rows.truncate(this.rows.lowerBound(ENTRY, entry));
  }

  /** Calls back for each of the entries [from, to) that has a lease. */
  each(from: number, to: number, found: (entry: number, leaseHigh: number, leaseLow: number) => void): void {
    for (let row = this.rows.lowerBound(ENTRY, from); row < this.rows.length; row++) {
      const entry = this.rows.get(row, ENTRY);
      if (entry >= to) return;
      found(entry, this.rows.get(row, LEASE_HIGH), this.rows.get(row, LEASE_LOW));
    }
  }
}
