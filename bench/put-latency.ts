import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { etcd3Source } from '../lib/etcd/client/etcd3.ts';
import type { Etcd } from '../test/harness/etcd.ts';

const PER_SECOND = 200;
const VALUE_BYTES = 1024;

/** The 99th percentile of a put's latency, ms, while `work` runs. Puts are sent on time, whether others answered or not. */
export async function putLatency(etcd: Etcd, work: () => Promise<unknown>): Promise<number> {
  using source = etcd3Source({ endpoints: [etcd.endpoint] });
  const client = await source.current();
  const value = randomBytes(VALUE_BYTES);
  const latencies: number[] = [];
  const pending = new Set<Promise<unknown>>();
  const running = { until: work().then(() => true), done: false };
  void running.until.then(() => {
    running.done = true;
  });
  const startedAt = performance.now();
  for (let sent = 0; !isDone(running); sent++) {
    await delay(Math.max(0, startedAt + (sent * 1000) / PER_SECOND - performance.now()));
    const sentAt = performance.now();
    const put = client
      .put(`/bench/${sent % 1000}`)
      .value(value)
      .then(() => {
        latencies.push(performance.now() - sentAt);
        pending.delete(put);
      });
    pending.add(put);
  }
  await Promise.all([...pending, running.until]);
  latencies.sort((a, b) => a - b);
  return latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN;
}

function isDone(running: { readonly done: boolean }): boolean {
  return running.done;
}
