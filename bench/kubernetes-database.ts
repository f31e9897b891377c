import { Buffer } from 'node:buffer';
import { parseArgs } from 'node:util';
import { batchOf, type EntryBatch, EntryBatchBuilder } from '../lib/etcd/bolt/entry-batch.ts';
import { type BucketSource, writeBoltFile, type WrittenBoltFile } from '../lib/etcd/bolt/writer.ts';
import { writeMemberDir } from '../lib/etcd/datadir/member-dir.ts';
import { encodeLease, encodeLeaseKey } from '../lib/etcd/mvcc/lease.ts';
import { encodeRevisionKey, writeRevisionKey } from '../lib/etcd/mvcc/revision.ts';
import { FastRandom } from './fast-random.ts';
import { KubernetesHistory } from './kubernetes-history.ts';
import { KubernetesRecords } from './kubernetes-records.ts';

export interface KubernetesDatabaseOptions {
  readonly seed: number | string;
  /** About so many bytes the file is to have. */
  readonly targetBytes: number;
  /** How often an object is written again, on average. Default 1. */
  readonly updatesPerKey?: number;
  /** Keep the history of only the newest tenth of the revisions. Default true, as under a kube-apiserver. */
  readonly compacted?: boolean;
  readonly pageSize?: number;
  /** Default true. */
  readonly trailer?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface KubernetesDatabase extends WrittenBoltFile {
  readonly revision: bigint;
  /** -1n when not compacted. */
  readonly compactRevision: bigint;
  readonly liveKeys: number;
  readonly leases: number;
  /** What names the cluster: the uid of its namespace kube-system. */
  readonly kubeSystemUid: string;
}

/** Records take so much of a file; the rest is what is left over in its pages. */
const FILL = 0.86;

/**
 * Writes a snapshot file as a Kubernetes cluster's etcd 3.6 would give it: objects of all usual kinds in their usual
 * sizes, with updates, deletions, expired events, leases and a compaction. Equal options give equal files. Some 20
 * bytes of memory for each change.
 */
export async function writeKubernetesDatabase(
  path: string,
  options: KubernetesDatabaseOptions,
): Promise<KubernetesDatabase> {
  const { seed, targetBytes, updatesPerKey = 1, compacted = true, pageSize, trailer, signal } = options;
  const history = new KubernetesHistory({ seed, bytes: targetBytes * FILL, updatesPerKey, compacted });
  const records = new KubernetesRecords(history, kubeSystemUid(seed), history.compactionPoint(compacted));
  const written = await writeBoltFile(path, buckets(history, records), {
    ...(pageSize === undefined ? {} : { pageSize }),
    ...(trailer === undefined ? {} : { trailer }),
    signal,
  });
  return {
    ...written,
    revision: BigInt(records.lastMain),
    compactRevision: compacted ? BigInt(records.compactMain) : -1n,
    liveKeys: records.liveKeys,
    leases: history.leaseCount - history.expiredLeases,
    kubeSystemUid: kubeSystemUid(seed),
  };
}

function* buckets(history: KubernetesHistory, records: KubernetesRecords): Generator<BucketSource> {
  const small = (name: string, entries: Iterable<readonly [string, Buffer | string]> = []): BucketSource => ({
    name,
    entries: [batchOf([...entries].map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const))],
  });
  yield small('alarm');
  yield small('auth', [['authRevision', uint64(1n)]]);
  yield small('authRoles');
  yield small('authUsers');
  yield small('cluster', [['clusterVersion', '3.6.0']]);
  yield { name: 'key', entries: keyEntries(records) };
  yield { name: 'lease', entries: [leaseEntries(history, records)] };
  yield small('members', [
    ['8e9e05c52164694d', '{"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default"}'],
  ]);
  yield small('members_removed');
  const compaction = encodeRevisionKey({ main: BigInt(records.compactMain), sub: 0n });
  const marks = records.compactMain === 0 ? [] : [compaction];
  yield small('meta', [
    ['confState', '{"voters":[10276657743932975437],"auto_leave":false}'],
    ['consistent_index', uint64(BigInt(records.lastMain) + 10n)],
    ...marks.map((mark) => ['finishedCompactRev', mark] as const),
    ...marks.map((mark) => ['scheduledCompactRev', mark] as const),
    ['storageVersion', '3.6.0'],
    ['term', uint64(2n)],
  ]);
}

function* keyEntries(records: KubernetesRecords): Generator<EntryBatch> {
  const batch = new EntryBatchBuilder(2 ** 21);
  for (const record of records.all()) {
    const keySize = record.tombstone ? 18 : 17;
    const start = batch.reserve(keySize, record.end);
    writeRevisionKey(batch.bytes, start, record.main, record.sub, record.tombstone);
    record.bytes.copy(batch.bytes, start + keySize, 0, record.end);
    if (batch.size < 2 ** 20) continue;
    yield batch;
    batch.clear();
  }
  yield batch;
}

function leaseEntries(history: KubernetesHistory, records: KubernetesRecords): EntryBatch {
  const leases: (readonly [Buffer, Buffer])[] = [];
  for (let number = history.expiredLeases + 1; number <= history.leaseCount; number++) {
    const id = records.leaseId(number);
    leases.push([encodeLeaseKey(id), encodeLease({ id, ttlSeconds: 3660n, remainingSeconds: 0n })]);
  }
  return batchOf(leases.sort(([a], [b]) => Buffer.compare(a, b)));
}

function kubeSystemUid(seed: number | string): string {
  const hex = Buffer.alloc(32);
  new FastRandom(`uid ${seed}`).hex(hex, 0, 32);
  const text = hex.toString();
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-4${text.slice(13, 16)}-a${text.slice(17, 20)}-${text.slice(20)}`;
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

const USAGE = `node bench/kubernetes-database.ts --size 3GB --out FILE [--seed 1] [--updates 1] [--no-compaction] [--data-dir DIR]

Writes the snapshot file of a Kubernetes cluster that never was; with --data-dir also the data dir of a one-member
etcd 3.6 (name default, peer URL http://localhost:2380) that holds it.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      size: { type: 'string' },
      out: { type: 'string' },
      seed: { type: 'string', default: '1' },
      updates: { type: 'string', default: '1' },
      'no-compaction': { type: 'boolean', default: false },
      'data-dir': { type: 'string' },
    },
  });
  const { size, out } = values;
  if (size === undefined || out === undefined) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  const started = performance.now();
  const written = await writeKubernetesDatabase(out, {
    seed: values.seed,
    targetBytes: parseSize(size),
    updatesPerKey: Number(values.updates),
    compacted: !values['no-compaction'],
  });
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(
    `${out}: ${(written.size / 1e6).toFixed(0)} MB, ${written.entries} entries, ${written.liveKeys} keys, ` +
      `revision ${written.revision}, in ${seconds.toFixed(1)} s (${(written.size / 1e6 / seconds).toFixed(0)} MB/s)\n`,
  );
  const dataDir = values['data-dir'];
  if (dataDir === undefined) return;
  const cluster = {
    token: 'etcd-cluster',
    members: [{ name: 'default', peerUrls: ['http://localhost:2380'] }],
  };
  await writeMemberDir({ dataDir, snapshot: { file: out }, name: 'default', cluster });
  process.stdout.write(`${dataDir}: etcd --data-dir ${dataDir} --quota-backend-bytes=17179869184\n`);
}

/** `3GB`, `500MB`, `64KiB`, or bytes. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMG]?)(i?)B?$/i.exec(text);
  if (match === null) throw new Error(`"${text}" is no size, such as 3GB or 500MiB`);
  const power = ['', 'K', 'M', 'G'].indexOf((match[2] ?? '').toUpperCase());
  return Math.round(Number(match[1]) * (match[3] === '' ? 1000 : 1024) ** power);
}

if (import.meta.main) await main();
