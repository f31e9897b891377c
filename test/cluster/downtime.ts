import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { startOf } from '../../agent/restore/pod-processes.ts';
import { processesWith } from '../../agent/restore/processes.ts';
import type { Cluster } from '../harness/cluster/start-cluster.ts';

export interface Downtime extends AsyncDisposable {
  /** The last time at which it was ready before it was away, and the first one after that. */
  readonly away: { readonly from: Date; readonly to: Date } | undefined;
}

const EVERY_MS = 50;

/** Asks a cluster's API server all the time whether it is ready. */
export function watchDowntime({ nodeAddress }: Cluster): Downtime {
  const stopping = new AbortController();
  let lastReady = new Date();
  let isAway = false;
  let away: Downtime['away'];
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const isReady = await asked(nodeAddress);
      const now = new Date();
      if (isReady && isAway) away ??= { from: lastReady, to: now };
      if (isReady) lastReady = now;
      isAway = !isReady;
      await delay(EVERY_MS);
    }
  })();
  return {
    get away() {
      return away;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await watching;
    },
  };
}

async function asked(host: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const options = { host, port: 6443, path: '/readyz', rejectUnauthorized: false, agent: false };
    const asking = request({ ...options, timeout: 5_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asking.on('timeout', () => asking.destroy());
    asking.on('error', () => {
      resolve(false);
    });
    asking.end();
  });
}

/** When the newest process was started that runs this program with this argument. */
export async function startedAt(program: string, argument: string): Promise<Date> {
  const { pid = 0 } =
    (await processesWith(program, [argument])).toSorted((a, b) => a.pid - b.pid).at(-1) ?? {};
  const [, bootSeconds = '0'] = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8')) ?? [];
  return new Date(Number(bootSeconds) * 1_000 + Number((await startOf(pid)) ?? 0) * TICK_MS);
}

/** Linux' USER_HZ is 100 everywhere. */
const TICK_MS = 10;
