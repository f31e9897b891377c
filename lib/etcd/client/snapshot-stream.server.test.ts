import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { type Proxy, startToxiproxy, type Toxiproxy } from '../../../test/harness/toxiproxy.ts';
import { needs } from '../../../test/harness/tools.ts';
import { hasCode } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';
import { etcd3Source } from './etcd3.ts';
import type { EtcdClient, SnapshotStream } from './etcd-client.ts';

const PIECE = 1 << 20;
const DIGEST_BYTES = 32;
/** More than every buffer on the way may hold, so that a stream that isn't read stands still. */
const DATABASE_BYTES = 48 << 20;

describe('a snapshot', needs('etcd 3.6.16', 'etcdctl 3.6.16', 'toxiproxy-server'), () => {
  let etcd: Etcd;
  let toxiproxy: Toxiproxy;
  let proxy: Proxy;
  let client: EtcdClient;
  let endpoint: string;
  before(async () => {
    [etcd, toxiproxy] = await Promise.all([startEtcd(), startToxiproxy()]);
    await fill(etcd, DATABASE_BYTES);
  });
  after(async () => {
    await Promise.all([etcd, toxiproxy].map((each) => each[Symbol.asyncDispose]()));
  });

  /** Over a proxy of its own, so that no toxic of another test is left. */
  async function viaProxy(): Promise<void> {
    proxy = await toxiproxy.createProxy(etcd.address);
    endpoint = `http://${proxy.address}`;
    client = connectEtcd({ endpoints: [endpoint] });
  }

  test('comes whole over a slow and choppy line', async () => {
    await viaProxy();
    await proxy.addToxic({ type: 'slicer', averageBytes: 20_000 });
    await proxy.addToxic({ type: 'latency', latencyMs: 5, jitterMs: 5 });
    const snapshot = client.snapshot(endpoint);
    const { size, sha256, digest } = await digestOf(snapshot);
    assert.equal(size, snapshot.totalBytes);
    assert.ok(size > DATABASE_BYTES);
    assert.deepEqual(digest, sha256);
    await client.close();
  });

  test('that is cut says how far it came, and may be tried again', async () => {
    await viaProxy();
    await proxy.addToxic({ type: 'limit_data', bytes: 20 << 20 });
    const snapshot = client.snapshot(endpoint);
    await assert.rejects(digestOf(snapshot), (error) => {
      assert.ok(hasCode(error, 'etcd.snapshot-cut'));
      assert.match(
        error.message,
        new RegExp(`after ${snapshot.receivedBytes} of ${snapshot.totalBytes ?? 0} bytes`),
      );
      assert.equal(error.retryable, true);
      return true;
    });
    // Not all that was sent before a cut arrives.
    assert.ok(snapshot.receivedBytes > 0 && snapshot.receivedBytes <= 20 << 20);
    await client.close();
  });

  test('that falls silent is given up after its idle time', async () => {
    await viaProxy();
    const snapshot = client.snapshot(endpoint, { idleTimeoutMs: 1_500 });
    let silentSince = 0;
    await assert.rejects(
      async () => {
        for await (const piece of snapshot) {
          if (silentSince > 0 || piece.length === 0) continue;
          silentSince = Date.now();
          await proxy.addToxic({ type: 'timeout', afterMs: 0 });
        }
      },
      (error) => hasCode(error, 'etcd.snapshot-idle') && error.retryable,
    );
    const waited = Date.now() - silentSince;
    assert.ok(waited >= 1_400 && waited < 60_000, `${waited} ms`);
    await client.close();
  });

  test('waits for a slow reader without taking more than its window, and without calling that silence', async () => {
    await using direct = connectEtcd({ endpoints: [etcd.endpoint] });
    const sentBefore = await metric(etcd, 'etcd_network_client_grpc_sent_bytes_total');
    const snapshot = direct.snapshot(etcd.endpoint, { idleTimeoutMs: 1_000 });
    const pieces = snapshot[Symbol.asyncIterator]();
    await pieces.next();
    let sent = 0;
    await eventually('etcd stops sending', async () => {
      const before = sent;
      // Nothing tells that nothing more comes; and this is longer than the idle time.
      await delay(1_100);
      sent = (await metric(etcd, 'etcd_network_client_grpc_sent_bytes_total')) - sentBefore;
      return sent === before && sent > 4 << 20;
    });
    assert.ok(sent < 9 << 20, `etcd sent ${sent} bytes to a reader of ${PIECE}`);
    assert.equal(snapshot.receivedBytes, PIECE);
    let rest = 0;
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
      rest += next.value.length;
    }
    assert.equal(rest + PIECE, (snapshot.totalBytes ?? 0) + DIGEST_BYTES);
  });

  test('that nobody reads to its end is ended at etcd too', async () => {
    await viaProxy();
    for await (const piece of client.snapshot(endpoint)) {
      assert.equal(piece.length, PIECE);
      break;
    }
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    await assert.rejects(
      async () => {
        for await (const piece of client.snapshot(endpoint, { signal: controller.signal })) {
          assert.equal(piece.length, PIECE);
          controller.abort(reason);
        }
      },
      (error) => error === reason,
    );
    await eventually('etcd has no stream open', async () => {
      const [started, handled] = await Promise.all([
        metric(etcd, 'grpc_server_started_total', 'grpc_method="Snapshot"'),
        metric(etcd, 'grpc_server_handled_total', 'grpc_method="Snapshot"'),
      ]);
      return started > 1 && started === handled;
    });
    await client.close();
  });

  // Last: it takes the member away.
  test('of a member that dies half-way is cut', async () => {
    await viaProxy();
    const snapshot = client.snapshot(endpoint);
    await assert.rejects(
      async () => {
        for await (const piece of snapshot) {
          if (snapshot.receivedBytes === piece.length) await etcd.kill('SIGKILL');
        }
      },
      (error) => hasCode(error, 'etcd.snapshot-cut') && error.retryable,
    );
    await client.close();
  });
});

async function fill(etcd: Etcd, bytes: number): Promise<void> {
  using source = etcd3Source({ endpoints: [etcd.endpoint] });
  const client = await source.current();
  for (let written = 0; written < bytes; written += VALUE.length) {
    await client.put(`/${written}`).value(VALUE);
  }
}

const VALUE = randomBytes(1 << 20);

async function digestOf(snapshot: SnapshotStream): Promise<{ size: number; sha256: Buffer; digest: Buffer }> {
  const hash = createHash('sha256');
  let size = 0;
  let digest = Buffer.alloc(0);
  for await (const piece of snapshot) {
    const known = Buffer.concat([digest, piece]);
    const database = known.subarray(0, -DIGEST_BYTES);
    hash.update(database);
    size += database.length;
    digest = known.subarray(-DIGEST_BYTES);
  }
  return { size, sha256: hash.digest(), digest };
}

/** The sum of a metric over its labels, those only that contain `label`. */
async function metric(etcd: Etcd, name: string, label = ''): Promise<number> {
  const response = await fetch(`${etcd.endpoint}/metrics`);
  const lines = (await response.text()).split('\n');
  const values = lines
    .filter((line) => line.startsWith(name) && line.includes(label))
    .map((line) => Number(line.slice(line.lastIndexOf(' '))));
  return values.reduce((sum, value) => sum + value, 0);
}
