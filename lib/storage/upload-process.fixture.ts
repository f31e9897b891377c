import { stampedBody } from './conformance-bytes.ts';
import { openStore } from './open-store.ts';
import type { StoreSettings } from './store-url.ts';

/** What a test wants a process of its own to do: measure its memory, or kill it on the way. */
export interface UploadTask {
  readonly settings: StoreSettings;
  readonly name: string;
  readonly bytes: number;
  /** After so many bytes it says so and gives no more. */
  readonly pauseAfter?: number;
}

/** What it prints at the end, as one line of JSON. */
export interface UploadReport {
  /** Of the process, bytes: before the upload, and the most during it. */
  readonly rssBefore: number;
  readonly rssMost: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** `ok`, or the code of the error. */
  readonly outcome: string;
}

const task = JSON.parse(process.argv[2] ?? '') as UploadTask;
const store = await openStore(task.settings);

// Loads the SDK, so that it isn't counted as the upload's.
await store.putIfAbsent(`${task.name}.warm-up`, Buffer.alloc(1));
const rssBefore = process.memoryUsage.rss();
let rssMost = rssBefore;
const cpuBefore = process.cpuUsage();
const begun = performance.now();

async function* body(): AsyncGenerator<Uint8Array, void> {
  let given = 0;
  for await (const chunk of stampedBody(task.bytes)) {
    if (given % (1 << 24) === 0) rssMost = Math.max(rssMost, process.memoryUsage.rss());
    if (task.pauseAfter !== undefined && given >= task.pauseAfter) {
      process.stdout.write('paused\n');
      await new Promise(() => undefined);
    }
    given += chunk.length;
    yield chunk;
  }
}

// Keeps the process alive while the body is silent.
const alive = setInterval(() => undefined, 1000);
const outcome = await store.put(task.name, body()).then(
  () => 'ok',
  (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
);
clearInterval(alive);
const { user, system } = process.cpuUsage(cpuBefore);
const report: UploadReport = {
  rssBefore,
  rssMost,
  seconds: (performance.now() - begun) / 1000,
  cpuSeconds: (user + system) / 1e6,
  outcome,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
