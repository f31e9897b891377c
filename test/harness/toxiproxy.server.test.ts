import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { test } from 'node:test';
import { needs } from './tools.ts';
import { type Proxy, startToxiproxy, type Toxic } from './toxiproxy.ts';

const BODY_BYTES = 100_000;

async function startUpstream(): Promise<Server & AsyncDisposable> {
  const server = createServer((_, response) => response.end(Buffer.alloc(BODY_BYTES, 'x')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function addressOf(server: Server): string {
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `127.0.0.1:${address.port}`;
}

async function get(proxy: Proxy): Promise<number> {
  const response = await fetch(`http://${proxy.address}/`, { headers: { connection: 'close' } });
  return (await response.arrayBuffer()).byteLength;
}

test(
  'a proxy passes everything, goes down and comes up on the same address',
  needs('toxiproxy-server'),
  async () => {
    await using upstream = await startUpstream();
    await using toxiproxy = await startToxiproxy();
    const proxy = await toxiproxy.createProxy(addressOf(upstream));
    assert.equal(await get(proxy), BODY_BYTES);
    await proxy.down();
    await assert.rejects(get(proxy), { message: 'fetch failed' });
    await proxy.up();
    assert.equal(await get(proxy), BODY_BYTES);
  },
);

test('every toxic does what it says, until it is taken away', needs('toxiproxy-server'), async () => {
  await using upstream = await startUpstream();
  await using toxiproxy = await startToxiproxy();
  const proxy = await toxiproxy.createProxy(addressOf(upstream));

  for (const toxic of [
    { type: 'reset_peer', afterMs: 0 },
    { type: 'timeout', afterMs: 50 },
    { type: 'limit_data', bytes: 5_000 },
  ] satisfies Toxic[]) {
    const remove = await proxy.addToxic(toxic);
    await assert.rejects(get(proxy), TypeError, toxic.type);
    await remove();
    assert.equal(await get(proxy), BODY_BYTES, toxic.type);
  }

  for (const toxic of [
    { type: 'latency', latencyMs: 200 },
    { type: 'bandwidth', kilobytesPerSecond: 500 },
    { type: 'slow_close', delayMs: 200, direction: 'upstream' },
    { type: 'slicer', averageBytes: 1_000, delayUs: 2_000 },
  ] satisfies Toxic[]) {
    const remove = await proxy.addToxic(toxic);
    const started = Date.now();
    assert.equal(await get(proxy), BODY_BYTES, toxic.type);
    if (toxic.type !== 'slow_close') assert.ok(Date.now() - started >= 190, toxic.type);
    await remove();
  }
});
