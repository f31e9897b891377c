import { type EntryBatch, EntryBatchBuilder } from '../bolt/entry-batch.ts';
import { encodeLease, encodeLeaseKey } from './lease.ts';
import { UserKeyHash } from './user-key-hash.ts';

/** What became known of a store's leases; seconds are those granted. */
export interface LeaseChange {
  /** True: `granted` begins a complete table, and whatever isn't in it, or in changes behind it, isn't there. */
  readonly complete: boolean;
  readonly granted: readonly (readonly [id: bigint, ttlSeconds: bigint])[];
  readonly gone: readonly bigint[];
}

const FREE = 0;
/** Only its TTL is remembered. */
const ABSENT = 1;
const PRESENT = 2;

const BATCH_SIZE = 1000;

/** The leases of a store at one point, by id; 17 bytes for each that ever was, and up to four times that as it grows. */
export class LeaseTable {
  private count = 0;
  private ids = new BigUint64Array(1024);
  private ttls = new BigInt64Array(1024);
  private states = new Uint8Array(1024);
  private readonly hash = new UserKeyHash();
  private readonly word = new DataView(new ArrayBuffer(8));

  grant(id: bigint, ttlSeconds: bigint): void {
    const slot = this.slotOf(BigInt.asUintN(64, id));
    this.ttls[slot] = ttlSeconds;
    this.states[slot] = PRESENT;
  }

  apply({ complete, granted, gone }: LeaseChange): void {
    if (complete) this.states.forEach((state, slot) => state === PRESENT && (this.states[slot] = ABSENT));
    for (const [id, ttlSeconds] of granted) this.grant(id, ttlSeconds);
    for (const id of gone) {
      const slot = this.slotOf(BigInt.asUintN(64, id));
      if (this.states[slot] === PRESENT) this.states[slot] = ABSENT;
    }
  }

  /** A live key is under this lease, so it is there: with the TTL last known, or else with this one. */
  name(id: bigint, unknownTtlSeconds: bigint): void {
    const slot = this.slotOf(BigInt.asUintN(64, id));
    if ((this.ttls[slot] ?? 0n) === 0n) this.ttls[slot] = unknownTtlSeconds;
    this.states[slot] = PRESENT;
  }

  /** True when anything was ever heard of it. */
  knows(id: bigint): boolean {
    return this.states[this.probe(BigInt.asUintN(64, id))] !== FREE;
  }

  /** As they belong into bucket `lease`. */
  *entries(): Generator<EntryBatch, void> {
    const present = this.ids.filter((_, slot) => this.states[slot] === PRESENT).sort();
    const batch = new EntryBatchBuilder(32 * BATCH_SIZE);
    for (const id of present) {
      const lease = BigInt.asIntN(64, id);
      const ttlSeconds = this.ttls[this.probe(id)] ?? 0n;
      batch.add(encodeLeaseKey(lease), encodeLease({ id: lease, ttlSeconds, remainingSeconds: 0n }));
      if (batch.count < BATCH_SIZE) continue;
      yield batch;
      batch.clear();
    }
    if (batch.count > 0) yield batch;
  }

  /** Its slot, made where there was none. */
  private slotOf(id: bigint): number {
    let slot = this.probe(id);
    if (this.states[slot] !== FREE) return slot;
    if (2 * this.count >= this.ids.length) {
      this.grow();
      slot = this.probe(id);
    }
    this.count++;
    this.ids[slot] = id;
    this.states[slot] = ABSENT;
    return slot;
  }

  /** Whoever can choose ids of leases can't choose such as collide. */
  private probe(id: bigint): number {
    this.word.setBigUint64(0, id);
    this.hash.hash(this.word, 0, 8);
    const mask = this.ids.length - 1;
    let slot = this.hash.first & mask;
    while (this.states[slot] !== FREE && this.ids[slot] !== id) slot = (slot + 1) & mask;
    return slot;
  }

  private grow(): void {
    const { ids, ttls, states } = this;
    this.ids = new BigUint64Array(2 * ids.length);
    this.ttls = new BigInt64Array(2 * ids.length);
    this.states = new Uint8Array(2 * ids.length);
    for (const [from, state] of states.entries()) {
      if (state === FREE) continue;
      const to = this.probe(ids[from] ?? 0n);
      this.ids[to] = ids[from] ?? 0n;
      this.ttls[to] = ttls[from] ?? 0n;
      this.states[to] = state;
    }
  }
}
