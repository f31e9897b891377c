import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { startCapture } from '../lib/backup/capture/run-capture.ts';
import { fullBackup } from '../lib/backup/full-backup.ts';
import { openEphemeralFile } from '../lib/encryption/ephemeral-file.ts';
import { connectEtcd } from '../lib/etcd/client/connect-etcd.ts';
import { openRepository } from '../lib/repository/open-repository.ts';
import { LocalStore } from '../lib/storage/local-store.ts';
import { repositorySettings, testKeys } from '../test/harness/repository.ts';

/** A capture in a process of its own, which tells what it costs. */
export interface CaptureTask {
  /** `peer`: events as arrays of JSON with base64, gzipped, as the best existing tool keeps them. */
  readonly who: 'ours' | 'peer';
  readonly endpoint: string;
  readonly folder: string;
  readonly intervalMs: number;
}

/** Printed every so often, as one line of JSON. */
export interface CaptureReport {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly isCapturing: boolean;
  readonly events: number;
  readonly storedBytes: number;
  /** Everything up to here is stored. */
  readonly storedRevision: number;
  readonly lagSeconds: number;
}

type Figures = Omit<CaptureReport, 'cpuSeconds' | 'rssBytes'>;

const REPORT_EVERY_MS = 100;
/** Looking at it costs half a millisecond, which would count as the capture's. */
const MEMORY_EVERY = 10;

const task = JSON.parse(process.argv[2] ?? '') as CaptureTask;
const figures = task.who === 'ours' ? await ours(task) : peer(task);
let reports = 0;
let rssBytes = 0;
setInterval(() => {
  const { user, system } = process.cpuUsage();
  if (reports++ % MEMORY_EVERY === 0) rssBytes = process.memoryUsage.rss();
  const cost = { cpuSeconds: (user + system) / 1e6, rssBytes };
  process.stdout.write(`${JSON.stringify({ ...cost, ...figures() })}\n`);
}, REPORT_EVERY_MS);

// Only who ends by itself keeps what was compiled.
process.once('SIGTERM', () => process.exit());

async function ours({ endpoint, folder, intervalMs }: CaptureTask): Promise<() => Figures> {
  const client = connectEtcd({ endpoints: [endpoint] });
  const store = new LocalStore(folder);
  const { encryption, signer, verifier } = testKeys();
  const repository = await openRepository(repositorySettings(store, { encryption, signer, verifier }));
  const clock = (): Date => new Date();
  const capture = await startCapture(
    { cluster: 'bench', limits: { intervalMs } },
    {
      ...{ client, repository, store, clock, randomBytes, onEvent: () => undefined },
      takeBase: (signal) =>
        fullBackup(
          { cluster: 'bench', proof: { mode: 'off' }, streamLimitMs: 600_000, attempts: 1 },
          { client, repository, clock, onEvent: () => undefined, signal },
        ),
      openSpill: () => openEphemeralFile('/tmp'),
      stop: new AbortController().signal,
    },
  );
  return () => {
    const { state, capturedEvents: events, storedBytes, storedRevision = 0n, lagSeconds } = capture.status();
    const isCapturing = state === 'capturing';
    return { isCapturing, events, storedBytes, storedRevision: Number(storedRevision), lagSeconds };
  };
}

function peer({ endpoint, folder, intervalMs }: CaptureTask): () => Figures {
  const client = connectEtcd({ endpoints: [endpoint] });
  let waiting: string[] = [];
  let figures = { isCapturing: false, events: 0, storedBytes: 0, storedRevision: 0, lagSeconds: 0 };
  let last = 0;
  let number = 0;
  const seal = async (): Promise<void> => {
    if (waiting.length === 0) return;
    const [events, storedRevision] = [waiting, last];
    waiting = [];
    const json = `[${events.join(',')}]`;
    const bytes = await promisify(gzip)(
      Buffer.concat([Buffer.from(json), createHash('sha256').update(json).digest()]),
    );
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `incr-${number++}.gz`), bytes);
    figures = { ...figures, storedBytes: figures.storedBytes + bytes.length, storedRevision };
  };
  const watch = async (): Promise<void> => {
    for await (const { kind, events } of client.watch({ key: '\0', rangeEnd: '\0' })) {
      if (kind === 'created') figures = { ...figures, isCapturing: true };
      for (const { type, kv } of events) {
        const numbers = {
          create_revision: Number(kv.createRevision),
          mod_revision: (last = Number(kv.modRevision)),
          version: Number(kv.version),
        };
        const record = { key: kv.key.toString('base64'), value: kv.value.toString('base64'), ...numbers };
        const event = { ...(type === 'delete' ? { type: 1 } : {}), kv: record };
        waiting.push(JSON.stringify({ etcdEvent: event, time: new Date().toISOString() }));
      }
      figures = { ...figures, events: figures.events + events.length };
    }
  };
  void watch();
  setInterval(() => void seal(), intervalMs);
  return () => figures;
}
