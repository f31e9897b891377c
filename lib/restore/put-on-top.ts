import { Buffer } from 'node:buffer';
import { EntryBatchBuilder, keyOf, valueOf, type EntryBatch } from '../etcd/bolt/entry-batch.ts';
import type { BoltFile } from '../etcd/bolt/reader.ts';
import { crc32c } from '../etcd/crc32c.ts';
import { decodeKeyValue, encodeKeyValue, encodeTombstone } from '../etcd/mvcc/key-value.ts';
import { encodeRevisionKey } from '../etcd/mvcc/revision.ts';
import type { GroupedEntry } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import { GIVES_WAY, STAYS, type GraftKeys } from './graft-grouping.ts';
import type { Grafts } from './grafts.ts';

/** Entries of bucket `key` above the restored ones. */
export interface OnTop {
  readonly entries: EntryBatch;
  /** CRC-32C of those that are alive, in order, as HashKV counts them, continuing what came before. */
  hashFrom(seed: number): number;
  /** Keys that gave way, and keys that were put. */
  readonly deleted: number;
  readonly put: number;
}

/** By which keys of the restored data are told apart while it passes. */
export function graftKeys({ items, prefixes }: Grafts): GraftKeys {
  return {
    prefixes,
    replaced: items.filter(({ whereAbsent }) => whereAbsent !== true).map(({ key }) => key),
    kept: items.filter(({ whereAbsent }) => whereAbsent === true).map(({ key }) => key),
  };
}

/**
 * What is put on top of a file at `revision`, of which the `alive` entries are in a group of `graftGrouping`. `grafts` are
 * in order. Reads no more of the file than these. Rejects with `restore.wrong-copy` where it hasn't got them.
 */
export async function putOnTop(
  grafts: Grafts,
  alive: readonly GroupedEntry[],
  file: BoltFile,
  revision: bigint,
): Promise<OnTop> {
  const giving: Buffer[] = [];
  const staying = new Set<string>();
  for (const entry of alive) {
    const key = await keyAt(file, entry);
    if (entry.group === GIVES_WAY) giving.push(key);
    else if (entry.group === STAYS) staying.add(key.toString('latin1'));
  }
  const put = grafts.items.filter(
    ({ key, whereAbsent }) => whereAbsent !== true || !staying.has(Buffer.from(key).toString('latin1')),
  );

  const entries = new EntryBatchBuilder(64 + put.reduce((sum, { value }) => sum + value.length + 128, 0));
  const deletedAt = revision + 1n;
  for (const [at, key] of giving.sort((a, b) => Buffer.compare(a, b)).entries()) {
    entries.add(encodeRevisionKey({ main: deletedAt, sub: BigInt(at) }, true), encodeTombstone(key));
  }
  const putAt = giving.length === 0 ? deletedAt : deletedAt + 1n;
  for (const [at, { key, value }] of put.entries()) {
    const record = { createRevision: putAt, modRevision: putAt, version: 1n, lease: 0n };
    entries.add(
      encodeRevisionKey({ main: putAt, sub: BigInt(at) }),
      encodeKeyValue({ ...record, key: Buffer.from(key), value: Buffer.from(value) }),
    );
  }
  return {
    entries,
    hashFrom(seed) {
      let hash = seed;
      for (let at = giving.length; at < entries.count; at++)
        hash = crc32c(valueOf(entries, at), crc32c(keyOf(entries, at), hash));
      return hash;
    },
    ...{ deleted: giving.length, put: put.length },
  };
}

async function keyAt(file: BoltFile, { main, sub }: GroupedEntry): Promise<Buffer> {
  const record = await file.get('key', encodeRevisionKey({ main, sub }));
  if (record !== undefined) return decodeKeyValue(record).key;
  throw new GuardianError(
    'restore.wrong-copy',
    `${file.path} has no revision ${main}_${sub}, though it came by`,
    {
      hint: 'this disk does not give back what was written to it: restore to another one',
    },
  );
}
