import { batchOf, type EntryBatch } from '../../lib/etcd/bolt/entry-batch.ts';
import { writeBoltFile } from '../../lib/etcd/bolt/writer.ts';
import { encodeKeyValue, encodeTombstone } from '../../lib/etcd/mvcc/key-value.ts';
import { encodeLease, encodeLeaseKey } from '../../lib/etcd/mvcc/lease.ts';
import { encodeRevisionKey } from '../../lib/etcd/mvcc/revision.ts';
import type { SeededRandom } from './seeded-random.ts';

/** An entry of bucket `key`. */
export interface MadeEntry {
  readonly main: bigint;
  readonly sub: bigint;
  readonly tombstone: boolean;
  readonly key: Buffer;
  readonly value: Buffer;
  /** The user key that it is about. */
  readonly user: string;
}

/** What a transaction does to a key: a value to put, perhaps under a lease, or null to delete it. */
export interface Change {
  readonly key: string;
  readonly put: string | Uint8Array | null;
  readonly lease?: bigint;
}

export interface BaseOptions {
  /** Left out: all there is. */
  readonly until?: bigint;
  /** Ids with their granted seconds. */
  readonly leases?: readonly (readonly [bigint, bigint])[];
  /** The compaction marks. */
  readonly scheduled?: bigint;
  readonly finished?: bigint;
  readonly alarm?: boolean;
  readonly pageSize?: number;
}

/** A store's history as etcd would keep it, made without etcd. */
export class MadeHistory {
  readonly entries: MadeEntry[] = [];
  revision = 1n;
  private readonly live = new Map<string, { created: bigint; version: bigint }>();

  /** One transaction; a deletion of a key that isn't there changes nothing. */
  commit(changes: readonly Change[]): bigint {
    const real = changes.filter(({ key, put }) => put !== null || this.live.has(key));
    if (real.length === 0) return this.revision;
    this.revision += 1n;
    for (const [index, change] of real.entries()) this.add(BigInt(index), change);
    return this.revision;
  }

  put(key: string, value: string | Uint8Array, lease = 0n): bigint {
    return this.commit([{ key, put: value, lease }]);
  }

  delete(...keys: string[]): bigint {
    return this.commit(keys.map((key) => ({ key, put: null })));
  }

  /** As `snapshot restore --bump-revision` does. */
  bump(main: bigint): void {
    this.revision = main;
    const key = encodeRevisionKey({ main, sub: 0n });
    this.entries.push({ main, sub: 0n, tombstone: false, key, value: Buffer.alloc(0), user: '' });
  }

  /** Puts, deletions and transactions of both on some keys; so many that change something. */
  grow(random: SeededRandom, transactions: number, leases: readonly bigint[] = [0n]): void {
    for (const end = this.revision + BigInt(transactions); this.revision < end;) {
      const keys = new Set(
        Array.from({ length: random.pick([1, 1, 1, 2, 30]) }, () => `/k/${random.integer(0, 60)}`),
      );
      this.commit(
        [...keys].map((key) => ({
          key,
          put: random.integer(0, 4) === 0 ? null : random.bytes(random.pick([0, 10, 400, 6000])),
          lease: random.integer(0, 3) === 0 ? random.pick(leases) : 0n,
        })),
      );
    }
  }

  /** The entries above `after` up to `until`, a few in a batch. */
  *batches(after: bigint, until = this.revision, size = 7): Generator<EntryBatch, void> {
    const wanted = this.entries.filter(({ main }) => main > after && main <= until);
    for (let at = 0; at < wanted.length; at += size) {
      yield batchOf(wanted.slice(at, at + size).map(({ key, value }) => [key, value] as const));
    }
  }

  /** Writes the store as it was at `until` to a snapshot file. */
  async writeBase(path: string, options: BaseOptions = {}): Promise<void> {
    const {
      until = this.revision,
      leases = [],
      scheduled,
      finished,
      alarm = false,
      pageSize = 4096,
    } = options;
    const mark = (name: string, main: bigint | undefined): (readonly [Buffer, Buffer])[] =>
      main === undefined ? [] : [[Buffer.from(name), encodeRevisionKey({ main, sub: 0n })]];
    const leaseEntries = leases
      .map(
        ([id, ttlSeconds]) =>
          [encodeLeaseKey(id), encodeLease({ id, ttlSeconds, remainingSeconds: 7n })] as const,
      )
      .sort(([a], [b]) => Buffer.compare(a, b));
    await writeBoltFile(
      path,
      [
        { name: 'alarm', entries: [batchOf(alarm ? [[Buffer.from([8, 1, 16, 1]), Buffer.alloc(0)]] : [])] },
        { name: 'key', entries: this.batches(0n, until) },
        { name: 'lease', entries: [batchOf(leaseEntries)] },
        {
          name: 'meta',
          entries: [
            batchOf([...mark('finishedCompactRev', finished), ...mark('scheduledCompactRev', scheduled)]),
          ],
        },
      ],
      { pageSize },
    );
  }

  private add(sub: bigint, { key, put, lease = 0n }: Change): void {
    const main = this.revision;
    const name = Buffer.from(key);
    const revisionKey = encodeRevisionKey({ main, sub }, put === null);
    if (put === null) {
      this.live.delete(key);
      this.entries.push({
        main,
        sub,
        tombstone: true,
        key: revisionKey,
        value: encodeTombstone(name),
        user: key,
      });
      return;
    }
    const { created, version } = this.live.get(key) ?? { created: main, version: 0n };
    this.live.set(key, { created, version: version + 1n });
    const record = { createRevision: created, modRevision: main, version: version + 1n, lease };
    const value = encodeKeyValue({ key: name, value: Buffer.from(put as string), ...record });
    this.entries.push({ main, sub, tombstone: false, key: revisionKey, value, user: key });
  }
}
