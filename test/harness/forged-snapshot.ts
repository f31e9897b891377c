import { readFile } from 'node:fs/promises';
import { batchOf } from '../../lib/etcd/bolt/entry-batch.ts';
import { writeBoltFile } from '../../lib/etcd/bolt/writer.ts';
import { encodeKeyValue, encodeTombstone } from '../../lib/etcd/mvcc/key-value.ts';
import { encodeLease, encodeLeaseKey } from '../../lib/etcd/mvcc/lease.ts';
import { encodeRevisionKey } from '../../lib/etcd/mvcc/revision.ts';
import { temporaryFolder } from './temporary-folder.ts';

export type Entry = readonly [key: Buffer, value: Buffer];

/** What a forged put leaves out is as etcd would have it. */
export interface PutDetails {
  readonly value?: Buffer | string;
  readonly lease?: bigint;
  readonly createRevision?: bigint;
  readonly modRevision?: bigint;
  readonly version?: bigint;
}

/**
 * Writes bucket `key` as etcd would, change by change, or as etcd never would: every field can be given. Revisions
 * begin at 2, and each change has one of its own unless `sameRevision` goes before it.
 */
export class ForgedHistory {
  readonly entries: Entry[] = [];
  private main = 1n;
  private sub = 0n;
  private joins = false;
  private readonly lives = new Map<string, { create: bigint; version: bigint }>();

  /** The next change is of the same transaction as the last one. */
  sameRevision(): this {
    this.joins = true;
    return this;
  }

  /** The next change has this main revision. */
  at(main: bigint): this {
    this.main = main - 1n;
    return this;
  }

  put(key: string, details: PutDetails = {}): this {
    const revision = this.next();
    const life = this.lives.get(key);
    const create = details.createRevision ?? life?.create ?? revision.main;
    const version = details.version ?? (life?.version ?? 0n) + 1n;
    this.lives.set(key, { create, version });
    const record = encodeKeyValue({
      key: Buffer.from(key),
      createRevision: create,
      modRevision: details.modRevision ?? revision.main,
      version,
      value: Buffer.from(details.value ?? `value of ${key} at ${revision.main}`),
      lease: details.lease ?? 0n,
    });
    return this.raw(encodeRevisionKey(revision), record);
  }

  delete(key: string): this {
    this.lives.delete(key);
    return this.raw(encodeRevisionKey(this.next(), true), encodeTombstone(Buffer.from(key)));
  }

  /** As `snapshot restore --bump-revision` does. */
  bump(main: bigint): this {
    return this.at(main).raw(encodeRevisionKey(this.next()), Buffer.alloc(0));
  }

  raw(key: Buffer, value: Buffer): this {
    this.entries.push([key, value]);
    return this;
  }

  /** Leaves out what a compaction at `main` would, tombstones at `main` itself included or not. */
  compact(main: bigint, keepTombstone = true): this {
    const latest = new Map<string, number>();
    const keyOf = (index: number): string => {
      const value = this.entries[index]?.[1] ?? Buffer.alloc(0);
      return value.toString('latin1', 2, 2 + (value[1] ?? 0));
    };
    for (const [index, [key]] of this.entries.entries()) {
      if (key.readBigInt64BE(0) <= main) latest.set(keyOf(index), index);
    }
    const kept = this.entries.filter(([key], index) => {
      const at = key.readBigInt64BE(0);
      if (at > main) return true;
      if (latest.get(keyOf(index)) !== index) return false;
      return key.length === 17 || (at === main && keepTombstone);
    });
    this.entries.splice(0, this.entries.length, ...kept);
    return this;
  }

  private next(): { main: bigint; sub: bigint } {
    this.sub = this.joins ? this.sub + 1n : 0n;
    if (!this.joins) this.main++;
    this.joins = false;
    return { main: this.main, sub: this.sub };
  }
}

export interface ForgedSnapshot {
  /** Of bucket `key`. */
  readonly entries: readonly Entry[];
  /** Main revision of both compaction marks, or of each. */
  readonly compacted?: bigint | { readonly scheduled?: bigint; readonly finished?: bigint };
  readonly leases?: readonly bigint[];
  /** Entries by bucket, in place of or beside the usual ones; undefined leaves a bucket out. */
  readonly buckets?: Readonly<Record<string, readonly Entry[] | undefined>>;
  readonly pageSize?: number;
  /** Default true. */
  readonly trailer?: boolean;
}

/** A snapshot file made without etcd, sound or not as its entries are. */
export async function forgeSnapshot(forged: ForgedSnapshot): Promise<Buffer> {
  await using folder = await temporaryFolder();
  const path = folder.join('forged.db');
  const { compacted, leases = [] } = forged;
  const marks = typeof compacted === 'object' ? compacted : { scheduled: compacted, finished: compacted };
  const buckets: Record<string, readonly Entry[] | undefined> = {
    alarm: [],
    auth: [],
    authRoles: [],
    authUsers: [],
    cluster: [[Buffer.from('clusterVersion'), Buffer.from('3.6.0')]],
    key: forged.entries,
    lease: leases.map((id) => [
      encodeLeaseKey(id),
      encodeLease({ id, ttlSeconds: 60n, remainingSeconds: 0n }),
    ]),
    members: [],
    members_removed: [],
    meta: [
      [Buffer.from('consistent_index'), Buffer.from('0000000000000009', 'hex')],
      ...markEntry('finishedCompactRev', marks.finished),
      ...markEntry('scheduledCompactRev', marks.scheduled),
      [Buffer.from('storageVersion'), Buffer.from('3.6.0')],
      [Buffer.from('term'), Buffer.from('0000000000000002', 'hex')],
    ],
    ...forged.buckets,
  };
  const sources = Object.entries(buckets)
    .filter((bucket): bucket is [string, readonly Entry[]] => bucket[1] !== undefined)
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([name, entries]) => ({ name, entries: [batchOf(entries)] }));
  const { pageSize = 4096, trailer = true } = forged;
  await writeBoltFile(path, sources, { pageSize, trailer });
  return await readFile(path);
}

function markEntry(name: string, main: bigint | undefined): Entry[] {
  return main === undefined ? [] : [[Buffer.from(name), encodeRevisionKey({ main, sub: 0n })]];
}
