import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { startLiveCapture } from '../harness/live-capture.ts';

/** A capture in a process of its own, to be killed. */
export interface CaptureTask {
  readonly endpoint: string;
  readonly folder: string;
  /** The call to the store, counted from 1, at which it says so and goes no further: before it happens or after. */
  readonly call: number;
  readonly when: 'before' | 'after';
}

const task = JSON.parse(process.argv[2] ?? '') as CaptureTask;
const capture = await startLiveCapture({
  endpoints: [task.endpoint],
  store: pausing(new LocalStore(task.folder)),
  request: { limits: { intervalMs: 50 } },
});
process.stdout.write('started\n');
await capture.ended;

/** The store, up to the call of the task. */
function pausing(store: ObjectStore): ObjectStore {
  let calls = 0;
  const reached = async (name: string): Promise<void> => {
    process.stdout.write(`paused ${task.when} call ${task.call}: ${name}\n`);
    await new Promise(() => undefined);
  };
  const around = async <Result>(name: string, happen: () => Promise<Result>): Promise<Result> => {
    const isIt = ++calls === task.call;
    if (isIt && task.when === 'before') await reached(name);
    try {
      return await happen();
    } finally {
      // Also when it failed, as of two who race for a name one does.
      if (isIt) await reached(name);
    }
  };
  return {
    location: store.location,
    put: (name, body, options) => around(`put ${name}`, () => store.put(name, body, options)),
    putIfAbsent: (name, body, options) =>
      around(`putIfAbsent ${name}`, () => store.putIfAbsent(name, body, options)),
    get: (name, options) => store.get(name, options),
    stat: (name, options) => around(`stat ${name}`, () => store.stat(name, options)),
    list: (prefix, options) => store.list(prefix, options),
    delete: (name, options) => around(`delete ${name}`, () => store.delete(name, options)),
    sweepStaleUploads: (olderThan, options) => store.sweepStaleUploads(olderThan, options),
  };
}
