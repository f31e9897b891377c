import { readFile } from 'node:fs/promises';
import { batchOf } from '../../lib/etcd/bolt/entry-batch.ts';
import { writeBoltFile } from '../../lib/etcd/bolt/writer.ts';
import { crc32c } from '../../lib/etcd/crc32c.ts';
import { encodeKeyValue } from '../../lib/etcd/mvcc/key-value.ts';
import { encodeLease, encodeLeaseKey } from '../../lib/etcd/mvcc/lease.ts';
import { encodeRevisionKey } from '../../lib/etcd/mvcc/revision.ts';
import type { BackupFacts } from '../../lib/repository/manifest.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface SmallSnapshot {
  /** The file, trailer included. */
  readonly bytes: Buffer;
  readonly revision: bigint;
  /** What a verifier must find. */
  readonly facts: BackupFacts['snapshot'];
}

type Entry = readonly [key: Buffer, value: Buffer];

/**
 * A snapshot file as etcd 3.6 streams one, made without etcd: `keys` keys put at revisions 2, 3, 4 …, the first of them
 * leased. Another `history` gives other values at the same revisions, as a rebuilt cluster would.
 */
export async function smallSnapshot({ keys = 20, history = 'first' } = {}): Promise<SmallSnapshot> {
  await using folder = await temporaryFolder();
  const path = folder.join('snapshot.db');
  const buckets = bucketsOf(keys, history);
  const written = await writeBoltFile(
    path,
    buckets.map(([name, entries]) => ({ name, entries: entries.length === 0 ? [] : [batchOf(entries)] })),
  );
  const revision = BigInt(keys + 1);
  const records = buckets.filter(([name]) => name === 'key');
  const facts = {
    ...{
      revision,
      currentRevision: revision,
      compactRevision: -1n,
      totalKeys: keys,
      totalEntries: written.entries,
    },
    ...{
      totalSize: written.pageCount * written.pageSize,
      pageSize: written.pageSize,
      sha256: written.sha256 ?? '',
    },
    hash: hashOf(buckets),
    hashKV: { hash: hashOf(records), revision, compactRevision: -1n },
    ...{ leases: 1, orphanLeases: 0, alarms: [] },
  };
  return { bytes: await readFile(path), revision, facts };
}

function bucketsOf(keys: number, history: string): [string, Entry[]][] {
  const lease = encodeLease({ id: LEASE, ttlSeconds: 3600n, remainingSeconds: 0n });
  const meta: Entry[] = [
    [Buffer.from('consistent_index'), counter(keys + 3)],
    [Buffer.from('storageVersion'), Buffer.from('3.6.0')],
    [Buffer.from('term'), counter(2)],
  ];
  return [
    ['alarm', []],
    ['cluster', [[Buffer.from('clusterVersion'), Buffer.from('3.6.0')]]],
    ['key', Array.from({ length: keys }, (_, index) => record(index, history))],
    ['lease', [[encodeLeaseKey(LEASE), lease]]],
    ['meta', meta],
  ];
}

/** As `snapshot status` hashes all buckets; over bucket `key` alone it is HashKV where nothing was deleted or compacted. */
function hashOf(buckets: readonly [string, Entry[]][]): number {
  const pieces = buckets.flatMap(([name, entries]) => [Buffer.from(name), ...entries.flat()]);
  return crc32c(Buffer.concat(pieces));
}

const LEASE = 0x13b0a201131c3b0dn;

function record(index: number, history: string): Entry {
  const revision = BigInt(index + 2);
  const value = encodeKeyValue({
    key: Buffer.from(`/registry/configmaps/default/config-${String(index).padStart(5, '0')}`),
    createRevision: revision,
    modRevision: revision,
    version: 1n,
    value: Buffer.from(`value ${index} of the ${history} history`),
    lease: index === 0 ? LEASE : 0n,
  });
  return [encodeRevisionKey({ main: revision, sub: 0n }), value];
}

function counter(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
