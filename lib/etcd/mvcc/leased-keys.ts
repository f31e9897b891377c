import { KeyTable } from './key-table.ts';
import type { RecordCursor } from './record-cursor.ts';

const LEASE_HIGH = 0;
const LEASE_LOW = 1;

/** Which keys are alive under which lease, while changes go by: some 60 bytes for each key that ever was under one. */
export class LeasedKeys {
  private readonly table = new KeyTable(2);

  /** The next change, in order of revisions. */
  take(record: RecordCursor): void {
    const { leaseHigh, leaseLow } = record.fields;
    if (leaseHigh !== 0 || leaseLow !== 0)
      this.set(this.table.findOrAdd(record), record, leaseHigh, leaseLow);
    else if (this.table.count > 0) {
      const slot = this.table.find(record);
      if (slot >= 0) this.set(slot, record, 0, 0);
    }
  }

  /** The id of each live key's lease, unsigned: as often as there are keys under it. */
  *leases(): Generator<bigint, void> {
    const { table } = this;
    for (const slot of table.slotsInUse()) {
      const id = (BigInt(table.word(slot, LEASE_HIGH)) << 32n) | BigInt(table.word(slot, LEASE_LOW));
      if (id !== 0n) yield id;
    }
  }

  private set(slot: number, { main, sub }: RecordCursor, leaseHigh: number, leaseLow: number): void {
    this.table.setRevision(slot, main, sub);
    this.table.setWord(slot, LEASE_HIGH, leaseHigh);
    this.table.setWord(slot, LEASE_LOW, leaseLow);
  }
}
