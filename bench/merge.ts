import { Buffer } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../lib/clock.ts';
import { encodeKeyValue } from '../lib/etcd/mvcc/key-value.ts';
import { verifySnapshotFile } from '../lib/etcd/mvcc/verify-snapshot-file.ts';
import type { Repository, SoundBackup } from '../lib/repository/repository.ts';
import { snapshotFacts } from '../lib/repository/snapshot-facts.ts';
import { startSegment } from '../lib/repository/start-segment.ts';
import { ETCD_CLUSTER } from '../test/harness/repository.ts';
import { CAPTURE } from '../test/harness/segments.ts';
import { temporaryFolder, type TemporaryFolder } from '../test/harness/temporary-folder.ts';
import { requireTool } from '../test/harness/tools.ts';
import { FastRandom } from './fast-random.ts';
import { writeKubernetesDatabase } from './kubernetes-database.ts';
import { benchRepository } from './merge-process.ts';
import { costLine, median, pairRatio, ratioLine, say } from './report.ts';
import { type RunCost, timedRun } from './timed-run.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const BASE_BYTES = 459e6;
const REVISIONS = 130_000;
const VALUE_BYTES = 1_700;
/** Objects that are written again and again. */
const OBJECTS = 10_000;

/**
 * A base of 459 MB and 130,000 revisions of 1.7 KB behind it, out of a local store, sealed and signed, into a snapshot
 * file with its sha256, beside `etcdutl snapshot restore` of the base alone: alternating pairs. Then how the time grows
 * with the number of segments. On a memory disk, so that disks don't decide.
 */
export async function benchMerge(): Promise<void> {
  say('\nMerging a restore point, beside etcdutl snapshot restore of its base alone');
  await using folder = await temporaryFolder();
  const base = folder.join('base.db');
  await writeKubernetesDatabase(base, { seed: 'merge', targetBytes: BASE_BYTES });
  await store(
    folder.join('store'),
    base,
    Array.from({ length: 130 }, () => REVISIONS / 130),
  );
  const etcdutl = requireTool('etcdutl', '3.6.16');
  const merged = folder.join('merged.db');
  const costs: { ours: RunCost[]; peer: RunCost[] } = { ours: [], peer: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    const dataDir = folder.join('restored');
    costs.peer.push(await timedRun([etcdutl, 'snapshot', 'restore', base, '--data-dir', dataDir]));
    await rm(dataDir, { recursive: true });
    costs.ours.push(await merge(folder.join('store'), merged));
  }
  for (const runs of [costs.ours, costs.peer]) runs.shift(); // They warmed the files.
  say(`  merged file: ${((await stat(merged)).size / 1e6).toFixed(0)} MB`);
  await timedRun([etcdutl, 'snapshot', 'status', merged]);
  say(costLine('etcdutl snapshot restore', costs.peer));
  say(costLine('merge', costs.ours));
  const ratio = (cost: (run: RunCost) => number): number =>
    pairRatio(costs.ours.map(cost), costs.peer.map(cost));
  say(
    ratioLine(
      'wall',
      ratio((run) => run.wallSeconds),
      '≤ 4, aim 2',
    ),
  );
  say(
    ratioLine(
      'CPU',
      ratio((run) => run.cpuSeconds),
      'none',
    ),
  );
  const peak = median(costs.ours.map((run) => run.peakBytes)) / 2 ** 20;
  say(`  → peak RSS ${peak.toFixed(0)} MiB (goal ≤ 300 MiB)`);
  await rm(folder.join('store'), { recursive: true });
  await benchManySegments(folder);
}

async function benchManySegments(folder: TemporaryFolder): Promise<void> {
  say('\nThe same for 250 and 1,000 segments of 100 revisions, behind a small base');
  const base = folder.join('base.db');
  await writeKubernetesDatabase(base, { seed: 'merge', targetBytes: 20e6 });
  await store(
    folder.join('many'),
    base,
    Array.from({ length: 1000 }, () => 100),
  );
  const runs: Record<number, RunCost[]> = { 0: [], 250: [], 1000: [] };
  for (let round = 0; round < Math.min(3, ROUNDS); round++) {
    for (const [most, costs] of Object.entries(runs)) {
      costs.push(await merge(folder.join('many'), folder.join('merged.db'), Number(most)));
    }
  }
  for (const [most, costs] of Object.entries(runs)) say(costLine(`${most} segments`, costs));
  const cpu = (most: number): number => median((runs[most] ?? []).map((run) => run.cpuSeconds));
  const growth = (cpu(1000) - cpu(0)) / (cpu(250) - cpu(0));
  say(ratioLine('CPU for four times as many segments', growth, '≤ 4.8: linear'));
}

/** As the program starts itself; see bin/etcdguardian. */
async function merge(store: string, target: string, most = Infinity): Promise<RunCost> {
  const flags = ['--max-semi-space-size=2', '--no-incremental-marking'];
  const script = join(import.meta.dirname, 'merge-process.ts');
  return timedRun([process.execPath, ...flags, script, store, target, String(most)], {
    MALLOC_ARENA_MAX: '2',
    MALLOC_MMAP_THRESHOLD_: '262144',
    MALLOC_TRIM_THRESHOLD_: '33554432',
  });
}

/** Stores a base, and behind it segments of so many revisions each. */
async function store(folder: string, base: string, segments: readonly number[]): Promise<void> {
  const repository = await benchRepository(folder);
  const backup = await storeBase(repository, base);
  const changes = await Changes.like(base, backup.manifest.snapshot.currentRevision);
  let tail = repository.segments.tailOf(backup);
  for (const revisions of segments) {
    const builder = startSegment({ from: tail.revision, writer: CAPTURE, clock: systemClock });
    for (let number = 0; number < revisions; number++) {
      builder.add(changes.revision + 1n, changes.next(), false);
      await builder.settled();
    }
    builder.endRevision();
    const leases = { complete: false, granted: [], gone: [] };
    const draft = await builder.finish({ leases, proofs: [], gap: undefined });
    tail = await repository.segments.append(tail, draft);
  }
}

async function storeBase(repository: Repository, path: string): Promise<SoundBackup> {
  const verdict = await verifySnapshotFile(path, { trailer: 'required' });
  const { currentRevision } = verdict;
  const begin = { cluster: 'prod', etcdClusterId: ETCD_CLUSTER, clusterRevision: currentRevision };
  const writer = await repository.beginBackup(begin);
  await writer.putBase(createReadStream(path, { highWaterMark: 1 << 20 }));
  const etcd = {
    ...{ clusterId: ETCD_CLUSTER, memberId: 1n, memberName: 'm1', endpoint: 'none' },
    ...{ serverVersion: '3.6.16', raftTerm: 2n },
  };
  const proof = { kind: 'none', reason: 'a benchmark' } as const;
  return writer.commit({ etcd, ...snapshotFacts(verdict), anchors: [], proof }, verdict);
}

/** Updates of Kubernetes-like objects: their values are pieces of a database that holds such. */
class Changes {
  revision: bigint;
  private readonly pool: Buffer;
  private readonly random = new FastRandom('changes');
  private readonly created: bigint[] = [];
  private readonly versions: bigint[] = [];

  private constructor(pool: Buffer, revision: bigint) {
    this.pool = pool;
    this.revision = revision;
  }

  static async like(path: string, revision: bigint): Promise<Changes> {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const pool = Buffer.alloc(Math.min(64 << 20, Math.floor(size / 2)));
      await file.read(pool, 0, pool.length, size - pool.length);
      return new Changes(pool, revision);
    } finally {
      await file.close();
    }
  }

  /** The record of the next revision. */
  next(): Buffer {
    this.revision += 1n;
    const object = this.random.below(OBJECTS);
    const [created, version] = [this.created[object] ?? this.revision, (this.versions[object] ?? 0n) + 1n];
    this.created[object] = created;
    this.versions[object] = version;
    const at = this.random.below(this.pool.length - VALUE_BYTES);
    return encodeKeyValue({
      key: Buffer.from(`/registry/pods/bench/pod-${object}`),
      createRevision: created,
      modRevision: this.revision,
      version,
      value: this.pool.subarray(at, at + VALUE_BYTES),
      lease: 0n,
    });
  }
}
