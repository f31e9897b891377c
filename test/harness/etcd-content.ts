import { base64, callGateway } from './etcd-gateway.ts';
import { type Etcd, startEtcd } from './etcd.ts';
import { eventually } from './eventually.ts';
import { testRandom } from './sampling.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { TemporaryFolder } from './temporary-folder.ts';
import type { EtcdVersion } from './tools.ts';

/** What a member answers for HashKV(0). */
export interface LiveHash {
  readonly revision: bigint;
  readonly hash: number;
  /** -1n when never compacted. */
  readonly compactRevision: bigint;
}

/**
 * Fills a member with what makes a store's history interesting: updates, transactions of several changes, deletions of
 * one key and of many, values from nothing to several pages, leases with and without keys, and a compaction part-way.
 */
export async function fillWithHistory(etcd: Etcd, random: SeededRandom, rounds = 60): Promise<void> {
  const leases: string[] = [];
  for (const ttl of [3600, 7200, 9000]) {
    const granted = await callGateway(etcd, 'lease/grant', { TTL: ttl });
    leases.push(String(granted.ID));
  }
  const key = (): string =>
    base64(`/registry/${random.pick(['pods', 'secrets', 'events'])}/ns/n${random.integer(0, 40)}`);
  const put = (): object => ({
    key: key(),
    value: base64(random.bytes(random.pick([0, 10, 300, 1500, 4096, 30_000]))),
    ...(random.integer(0, 5) === 0 ? { lease: leases[random.integer(0, 2)] } : {}),
  });
  let revision = 1;
  for (let round = 0; round < rounds; round++) {
    const answer = await change(etcd, random, put, key);
    revision = Number(answer.header?.revision ?? revision);
    if (round === Math.floor(rounds / 2)) {
      await callGateway(etcd, 'kv/compaction', { revision: Math.ceil(revision * 0.6), physical: true });
    }
  }
}

/** Puts so many values of 1 MiB that no compression makes smaller. */
export async function fillWithNoise(etcd: Etcd, mebibytes: number, random: SeededRandom): Promise<void> {
  for (let number = 0; number < mebibytes; number++) {
    const key = base64(`/registry/secrets/noise/${String(number).padStart(5, '0')}`);
    await callGateway(etcd, 'kv/put', { key, value: base64(random.bytes(1 << 20)) });
  }
}

async function change(
  etcd: Etcd,
  random: SeededRandom,
  put: () => object,
  key: () => string,
): Promise<{ header?: { revision?: string } }> {
  switch (random.integer(0, 6)) {
    case 0:
      return callGateway(etcd, 'kv/deleterange', { key: key() });
    case 1: {
      const from = `/registry/${random.pick(['pods', 'secrets', 'events'])}/ns/n1`;
      return callGateway(etcd, 'kv/deleterange', { key: base64(from), range_end: base64(`${from}9`) });
    }
    case 2: {
      const puts = new Map(
        Array.from({ length: random.integer(2, 20) }, () => put()).map((each) => [
          (each as { key: string }).key,
          each,
        ]),
      );
      return callGateway(etcd, 'kv/txn', {
        success: [...puts.values()].map((each) => ({ request_put: each })),
      });
    }
    default:
      return callGateway(etcd, 'kv/put', put());
  }
}

/** Every live key with all that etcd tells of it, as JSON, at a revision (0: the newest). */
export async function allKeys(etcd: Etcd, revision = 0n): Promise<unknown> {
  const answer = await callGateway(etcd, 'kv/range', {
    key: base64('\0'),
    range_end: base64('\0'),
    revision: String(revision),
  });
  return answer.kvs ?? [];
}

export async function liveHash(etcd: Etcd): Promise<LiveHash> {
  // Not through the gateway, which lacks this in 3.4.
  const json = await etcd.etcdctl('endpoint', 'hashkv', '--write-out=json');
  const number = (name: string): string => new RegExp(`"${name}":(-?\\d+)`).exec(json)?.[1] ?? '0';
  return {
    revision: BigInt(number('revision')),
    hash: Number(number('hash')),
    compactRevision: BigInt(number('compact_revision')),
  };
}

/** Puts one key and resolves to the revision that it got. */
export async function putOne(etcd: Etcd, key: string, value: string): Promise<bigint> {
  const answer = await callGateway(etcd, 'kv/put', { key: base64(key), value: base64(value) });
  return BigInt(answer.header?.revision ?? 0);
}

/** Puts a key that isn't there yet, in one revision, whatever becomes of the leader meanwhile: nothing is put twice. */
export async function putOnce(etcd: Etcd, key: string, value: string): Promise<void> {
  const request = {
    compare: [{ key: base64(key), target: 'VERSION', result: 'EQUAL', version: '0' }],
    success: [{ request_put: { key: base64(key), value: base64(value) } }],
  };
  await eventually(`${key} is written`, async () => callGateway(etcd, 'kv/txn', request));
}

/** Compacts at that revision; resolves when the compaction is through. */
export async function compact(etcd: Etcd, revision: bigint): Promise<void> {
  await callGateway(etcd, 'kv/compaction', { revision: revision.toString(), physical: true });
}

/** How many hashes of its keys a member has computed for HashKV since it was started. */
export async function hashesComputed(etcd: Etcd): Promise<number> {
  const metrics = await (await fetch(`${etcd.endpoint}/metrics`)).text();
  const count = /^etcd_mvcc_hash_rev_duration_seconds_count (\d+)$/m.exec(metrics)?.[1];
  if (count === undefined) throw new Error(`${etcd.name} counts no hashes`);
  return Number(count);
}

/** The snapshot of a member of that version with some history and a large value. */
export async function snapshotWithHistory(folder: TemporaryFolder, version: EtcdVersion): Promise<string> {
  const file = folder.join(`${version}.db`);
  await using etcd = await startEtcd({ version });
  await fillWithHistory(etcd, testRandom(`history ${version}`), 30);
  await putOne(etcd, '/large', 'x'.repeat(500_000));
  await etcd.etcdctl('snapshot', 'save', file);
  return file;
}
