import assert from 'node:assert/strict';
import { copyFile, rm } from 'node:fs/promises';
import type { SnapshotVerdict } from '../../lib/etcd/mvcc/snapshot-verdict.ts';
import { etcdctl, etcdutl } from './etcd-programs.ts';
import type { Etcd } from './etcd.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { EtcdVersion } from './tools.ts';

/** What `snapshot status` prints; before 3.6, `totalKey` counts the entries of all buckets. */
export interface StatusFigures {
  readonly hash: number;
  readonly revision: number;
  readonly totalKey: number;
  readonly totalSize: number;
}

/** Rejects when the program refuses the file. */
export async function snapshotStatus(version: EtcdVersion, file: string): Promise<StatusFigures> {
  const run = version === '3.4.23' ? etcdctl : etcdutl;
  return JSON.parse(await run(version, 'snapshot', 'status', file, '--write-out=json')) as StatusFigures;
}

/** Asserts that these programs' `snapshot status` say the same as the verdict. */
export async function assertStatus(
  file: string,
  verdict: SnapshotVerdict,
  versions: readonly EtcdVersion[] = ['3.5.35', '3.6.16', '3.7.3'],
): Promise<void> {
  for (const version of versions) {
    const { hash, revision, totalKey, totalSize } = await snapshotStatus(version, file);
    const keys = version < '3.6' ? verdict.totalEntries : verdict.totalKeys;
    assert.deepEqual(
      [verdict.hash, verdict.revision, keys, verdict.totalSize],
      [hash, BigInt(revision), totalKey, totalSize],
      `status of ${version}`,
    );
  }
}

/**
 * Asserts that `etcdutl hashkv` of these versions say the same, now and at `count` revisions that the file retains.
 * That of 3.6 panics on files whose live keys have leases.
 */
export async function assertHashKV(
  file: string,
  verdict: SnapshotVerdict,
  random: SeededRandom,
  { count = 2, versions = ['3.7.3'] }: { count?: number; versions?: readonly EtcdVersion[] } = {},
): Promise<void> {
  for (const version of versions) {
    for (const revision of [0, ...retainedRevisions(verdict, random, count)]) {
      const copy = `${file}.${version}.${revision}`;
      // It resumes compactions, and so writes to the file.
      await copyFile(file, copy);
      const args = ['hashkv', copy, `--rev=${revision}`, '--write-out=json'];
      const { hash, hashRevision, compactRevision } = JSON.parse(
        await etcdutl(version, ...args),
      ) as HashFigures;
      await rm(copy);
      const point = { revision: BigInt(hashRevision), compactRevision: BigInt(compactRevision) };
      assert.equal(verdict.hashKVAt(point), hash, `etcdutl ${version} hashkv --rev=${revision}`);
      if (revision === 0) {
        assert.deepEqual([verdict.hashKV, verdict.currentRevision], [hash, point.revision]);
      }
    }
  }
}

/** Asserts the same of the live member that the file came from. */
export async function assertLiveHashKV(
  etcd: Etcd,
  verdict: SnapshotVerdict,
  random: SeededRandom,
  count = 3,
): Promise<void> {
  for (const revision of [0, ...retainedRevisions(verdict, random, count)]) {
    const json = await etcd.etcdctl('endpoint', 'hashkv', `--rev=${revision}`, '--write-out=json');
    const field = (name: string): number | undefined => {
      const text = new RegExp(`"${name}":(-?\\d+)`).exec(json)?.[1];
      return text === undefined ? undefined : Number(text);
    };
    const at = field('hash_revision') ?? (revision === 0 ? Number(verdict.currentRevision) : revision);
    const point = { revision: BigInt(at), compactRevision: BigInt(field('compact_revision') ?? -1) };
    assert.equal(verdict.hashKVAt(point), field('hash'), `live ${etcd.version} at ${revision}: ${json}`);
  }
}

interface HashFigures {
  readonly hash: number;
  readonly hashRevision: number;
  readonly compactRevision: number;
}

/** Revisions above the compaction: at the compaction itself, a member may answer with a hash it kept. */
function retainedRevisions(verdict: SnapshotVerdict, random: SeededRandom, count: number): number[] {
  const first = Math.max(2, Number(verdict.compactRevision) + 1);
  const last = Number(verdict.currentRevision);
  if (first > last) return [];
  return Array.from({ length: count }, () => random.integer(first, last + 1));
}
