import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { compressFrames } from '../lib/repository/compress-frames.ts';
import { startSegment } from '../lib/repository/start-segment.ts';
import type { Etcd } from '../test/harness/etcd.ts';
import { eventually } from '../test/harness/eventually.ts';
import { runProgram } from '../test/harness/run-program.ts';
import { type ServerProcess, startProcess } from '../test/harness/server-process.ts';
import { type TemporaryFolder, temporaryFolder } from '../test/harness/temporary-folder.ts';
import { etcdWithDatabase } from './bench-etcd.ts';
import type { CaptureReport, CaptureTask } from './capture-process.ts';
import type { WriterReport, WriterTask } from './capture-writer.ts';
import { writeKubernetesDatabase } from './kubernetes-database.ts';
import { KubernetesHistory } from './kubernetes-history.ts';
import { KubernetesRecords } from './kubernetes-records.ts';
import { median, say } from './report.ts';

const EVENTS = Number(process.env.BENCH_EVENTS ?? 20_000);
const WARM_UP_EVENTS = 5000;
const PER_SECOND = 1000;
const DATABASE_BYTES = 60_000_000;
const MINUTES_MS = 300_000;

/**
 * Continuous capture, all in (watch, segments, zstd, encryption, signatures, a store on a memory disk), beside the same
 * watch kept as gzipped JSON; once while changes are written at 1,000 a second, once when they have piled up.
 */
export async function benchCapture(): Promise<void> {
  say('\nContinuous capture of Kubernetes-like changes, beside gzipped JSON with base64');
  await using folder = await temporaryFolder();
  await using etcd = await etcdWithDatabase(folder, DATABASE_BYTES);
  for (const who of ['ours', 'peer'] as const) await benchOne(folder, etcd, who);
  await benchIncrement(folder);
}

async function benchOne(folder: TemporaryFolder, etcd: Etcd, who: CaptureTask['who']): Promise<void> {
  const task: CaptureTask = { who, endpoint: etcd.endpoint, folder: folder.join(who), intervalMs: 1000 };
  if (who === 'ours') {
    // Takes the base, whose memory isn't that of a capture.
    await using first = await startMeasured(task, folder);
    await reached(first, ({ isCapturing }) => isCapturing);
  }
  await using capture = await startMeasured(task, folder);
  await reached(capture, ({ isCapturing }) => isCapturing);
  // What a process costs that has just begun isn't what it costs to capture for days.
  await write(etcd, `${who} warm-up`, WARM_UP_EVENTS, PER_SECOND);
  const before = await storedAll(capture, etcd);
  const written = await write(etcd, `${who} steady`, EVENTS, PER_SECOND);
  const steady = await storedAll(capture, etcd);
  const reports = reportsOf(capture);

  capture.signal('SIGSTOP');
  await write(etcd, `${who} piled up`, EVENTS, 1_000_000);
  capture.signal('SIGCONT');
  const caughtUp = await storedAll(capture, etcd);

  const cpu = (from: CaptureReport, to: CaptureReport): string =>
    (((to.cpuSeconds - from.cpuSeconds) * 10_000) / (to.events - from.events)).toFixed(2);
  const size = (written.rawBytes / EVENTS / 1000).toFixed(2);
  const share = (100 * (steady.storedBytes - before.storedBytes)) / written.rawBytes;
  const rss = reports.map(({ rssBytes }) => rssBytes / 2 ** 20);
  const lags = reports.map(({ lagSeconds }) => lagSeconds);
  say(`  ${who === 'ours' ? 'etcdguardian' : 'gzipped JSON'}, for each 10,000 events of ${size} KB:`);
  say(
    `    CPU ${cpu(before, steady)} s at ${(EVENTS / written.seconds).toFixed(0)} a second, ${cpu(steady, caughtUp)} s piled up (goal ≤ 0.4 s)`,
  );
  say(`    stored ${share.toFixed(1)} % of keys and values (goal ≤ 35 %)`);
  say(
    `    RSS ${median(rss).toFixed(0)} MiB, at most ${Math.max(...rss).toFixed(0)} (goal ≤ 114 MiB steady)`,
  );
  if (who === 'peer') return;
  say(
    `    lag with segments of 1 s: median ${median(lags).toFixed(2)} s, at most ${Math.max(...lags).toFixed(2)} s (goal ≤ 1 s and a put)`,
  );
}

async function storedAll(capture: ServerProcess, etcd: Etcd): Promise<CaptureReport> {
  const { revision } = await etcd.status();
  return reached(capture, ({ storedRevision }) => storedRevision >= Number(revision));
}

/**
 * As bin/etcdguardian starts the program, which keeps what was compiled from one start to the next: without, it takes
 * 16 MiB more, most of it for what removes the types.
 */
async function startMeasured(task: CaptureTask, folder: TemporaryFolder): Promise<ServerProcess> {
  const script = join(import.meta.dirname, 'capture-process.ts');
  const env = {
    ...process.env,
    NODE_COMPILE_CACHE: folder.join('compiled'),
    MALLOC_ARENA_MAX: '2',
    MALLOC_MMAP_THRESHOLD_: '262144',
    MALLOC_TRIM_THRESHOLD_: '33554432',
  };
  const flags = ['--max-semi-space-size=1', '--no-incremental-marking'];
  return startProcess(process.execPath, [...flags, script, JSON.stringify(task)], { env });
}

/** What it told of late, at most of the last 40 s. */
function reportsOf(capture: ServerProcess): CaptureReport[] {
  const lines = capture.output().split('\n');
  return lines.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as CaptureReport] : []));
}

async function reached(
  capture: ServerProcess,
  holds: (report: CaptureReport) => boolean,
): Promise<CaptureReport> {
  const look = (): CaptureReport | false => {
    if (!capture.isRunning()) throw new Error(capture.output());
    const last = reportsOf(capture).at(-1);
    return last !== undefined && holds(last) && last;
  };
  return eventually('the capture has come so far', look, MINUTES_MS);
}

async function write(
  { endpoint }: Etcd,
  seed: string,
  events: number,
  perSecond: number,
): Promise<WriterReport> {
  const task: WriterTask = { endpoint, seed, events, perSecond };
  const script = join(import.meta.dirname, 'capture-writer.ts');
  return JSON.parse(await runProgram(process.execPath, [script, JSON.stringify(task)])) as WriterReport;
}

/** The newest tenth of a database's changes as segments, beside a full backup of the database. */
async function benchIncrement(folder: TemporaryFolder): Promise<void> {
  const options = { seed: 'bench', targetBytes: 400_000_000 };
  const file = folder.join('full.db');
  await writeKubernetesDatabase(file, options);
  let full = 0;
  for await (const chunk of compressFrames(createReadStream(file, { highWaterMark: 1 << 20 })))
    full += chunk.length;

  const history = new KubernetesHistory({
    seed: 'bench',
    bytes: 400_000_000 * 0.86,
    updatesPerKey: 1,
    compacted: true,
  });
  const records = new KubernetesRecords(history, '', history.compactionPoint(true));
  const segments: number[] = [];
  let changes = 0;
  const begin = (from: number): ReturnType<typeof startSegment> =>
    startSegment({
      from: BigInt(from),
      writer: { id: 1n, kind: 'capture', sealIntervalMs: 10_000 },
      clock: () => new Date(),
    });
  let builder = begin(records.compactMain);
  const seal = async (): Promise<void> => {
    builder.endRevision();
    const leases = { complete: false, granted: [], gone: [] };
    const { frames } = await builder.finish({ leases, proofs: [], gap: undefined });
    segments.push(frames.reduce((sum, { length }) => sum + length, 2000));
    builder = begin(Number(builder.to));
  };
  for (const { main, tombstone, bytes, end } of records.all()) {
    if (main <= records.compactMain) continue;
    if (builder.events > 0 && main > builder.to + 1n && builder.events >= SEGMENT_EVENTS) await seal();
    changes++;
    builder.add(BigInt(main), bytes.subarray(0, end), tombstone);
    await builder.settled();
  }
  await seal();
  const increment = segments.reduce((sum, size) => sum + size, 0);
  const each = increment / changes;
  say(
    `  ${changes} changes take ${(increment / 1e6).toFixed(1)} MB in ${segments.length} segments; a full backup of the ${(options.targetBytes / 1e6).toFixed(0)} MB has ${(full / 1e6).toFixed(1)} MB`,
  );
  say(
    `  → an hour's increment is < 10 % of a full (goal) up to ${((0.1 * full) / each / 3600).toFixed(1)} changes a second`,
  );
}

/** What 10 s bring at 100 changes a second. */
const SEGMENT_EVENTS = 1000;
