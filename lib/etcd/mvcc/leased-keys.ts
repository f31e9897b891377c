import { Buffer } from 'node:buffer';
import { KeyTable } from './key-table.ts';
import { type RecordCursor } from './record-cursor.ts';
import { UserKeyHash } from './user-key-hash.ts';

/** The keys that are alive under a lease at the end of a file; keys are told apart by `UserKeyHash`. Plain data. */
export interface LeasedKeys {
  /** What the hashes are keyed with. */
  readonly secret: Uint8Array;
  /** Four words a key: both halves of its hash, both halves of the lease's id. */
  readonly words: Uint32Array;
}

export const WORDS_PER_LEASED_KEY = 4;

const LEASE_HIGH = 0;
const LEASE_LOW = 1;

/** Any revision but 0 makes a slot taken; which one doesn't matter here. */
const TAKEN = 1;

/** Which keys are alive under which lease, while changes to them go by: some 40 bytes for each that ever was. */
export class LeasedKeyTable {
  private readonly table: KeyTable;

  constructor({ secret, words }: LeasedKeys) {
    this.table = new KeyTable(2, new UserKeyHash(Buffer.from(secret)));
    for (let at = 0; at < words.length; at += WORDS_PER_LEASED_KEY) {
      const [first = 0, second = 0, leaseHigh = 0, leaseLow = 0] = words.subarray(
        at,
        at + WORDS_PER_LEASED_KEY,
      );
      this.set(this.table.findOrAddHash(first | 0, second | 0), leaseHigh, leaseLow);
    }
  }

  /** The next change, in order of revisions. */
  take(record: RecordCursor): void {
    const { leaseHigh, leaseLow } = record.fields;
    if (leaseHigh !== 0 || leaseLow !== 0) this.set(this.table.findOrAdd(record), leaseHigh, leaseLow);
    else if (this.table.count > 0) {
      const slot = this.table.find(record);
      if (slot >= 0) this.set(slot, 0, 0);
    }
  }

  /** The id of each live key's lease, unsigned: as often as there are keys under it. */
  *leases(): Generator<bigint, void> {
    for (const slot of this.table.slotsInUse()) {
      const id =
        (BigInt(this.table.word(slot, LEASE_HIGH)) << 32n) | BigInt(this.table.word(slot, LEASE_LOW));
      if (id !== 0n) yield id;
    }
  }

  private set(slot: number, leaseHigh: number, leaseLow: number): void {
    this.table.setRevision(slot, TAKEN, 0);
    this.table.setWord(slot, LEASE_HIGH, leaseHigh);
    this.table.setWord(slot, LEASE_LOW, leaseLow);
  }
}
