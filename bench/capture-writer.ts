import { setTimeout as delay } from 'node:timers/promises';
import { etcd3Source } from '../lib/etcd/client/etcd3.ts';
import { decodeKeyValue } from '../lib/etcd/mvcc/key-value.ts';
import { KubernetesHistory } from './kubernetes-history.ts';
import { KubernetesRecords } from './kubernetes-records.ts';

/** Writes what happens in a Kubernetes cluster into an etcd, one change after the other at a steady rate. */
export interface WriterTask {
  readonly endpoint: string;
  readonly seed: string;
  readonly events: number;
  readonly perSecond: number;
}

/** Printed at the end, as one line of JSON. */
export interface WriterReport {
  /** Bytes of keys and values. */
  readonly rawBytes: number;
  readonly seconds: number;
}

/** Enough history for any run. */
const HISTORY_BYTES = 400_000_000;
const AT_ONCE = 64;
/** So that the mean event has about 1.7 KB, as in clusters; the generator's large objects are for databases. */
const LARGEST_VALUE = 3_500;

async function write({ endpoint, seed, events, perSecond }: WriterTask): Promise<WriterReport> {
  using source = etcd3Source({ endpoints: [endpoint] });
  const client = await source.current();
  const history = new KubernetesHistory({ seed, bytes: HISTORY_BYTES, updatesPerKey: 4, compacted: false });
  const records = new KubernetesRecords(history, '', 0);
  const pending = new Set<Promise<unknown>>();
  const begun = performance.now();
  let rawBytes = 0;
  let sent = 0;
  for (const { tombstone, bytes, end } of records.all()) {
    if (sent === events) break;
    const { key, value } = decodeKeyValue(Buffer.from(bytes.subarray(0, end)));
    if (value.length > LARGEST_VALUE) continue;
    rawBytes += key.length + value.length;
    const early = begun + (sent++ * 1000) / perSecond - performance.now();
    if (early > 1) await delay(early);
    const call = tombstone ? client.delete().key(key).exec() : client.put(key).value(value).exec();
    const done = call.finally(() => pending.delete(done));
    pending.add(done);
    if (pending.size >= AT_ONCE) await Promise.race(pending);
  }
  await Promise.all(pending);
  return { rawBytes, seconds: (performance.now() - begun) / 1000 };
}

process.stdout.write(`${JSON.stringify(await write(JSON.parse(process.argv[2] ?? '') as WriterTask))}\n`);
