import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../lib/guardian-error.ts';
import { parseListenAddress, startStatusServer, type StatusPages } from './status-server.ts';

const HERE = { host: '127.0.0.1', port: 0 };

function pagesOf(unhealthy?: string): StatusPages {
  return {
    metrics: () => Promise.resolve({ contentType: 'text/plain; version=0.0.4', text: 'up 1\n' }),
    unhealthy: () => unhealthy,
  };
}

async function page(url: string, init?: RequestInit): Promise<[status: number, text: string]> {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
}

test('metrics and health are served, nothing else', async () => {
  await using server = await startStatusServer(HERE, pagesOf());
  assert.deepEqual(await page(`${server.url}/metrics`), [200, 'up 1\n']);
  assert.deepEqual(await page(`${server.url}/healthz?verbose`), [200, 'ok\n']);
  assert.equal((await page(`${server.url}/etc/passwd`))[0], 404);
  assert.equal((await page(`${server.url}/healthz`, { method: 'POST', body: 'x' }))[0], 405);
});

test('what is not well is told with 503 and the reason', async () => {
  await using server = await startStatusServer(HERE, pagesOf('nothing was stored for 2 min'));
  assert.deepEqual(await page(`${server.url}/healthz`), [503, 'nothing was stored for 2 min\n']);
});

test('an address that is taken is told with the way out', async () => {
  await using server = await startStatusServer(HERE, pagesOf());
  const taken = parseListenAddress(new URL(server.url).host, '--listen');
  await assert.rejects(
    startStatusServer(taken, pagesOf()),
    (error) => hasCode(error, 'capture.listen') && error.message.includes('EADDRINUSE'),
  );
});

test('addresses are read with and without brackets', () => {
  const read = (text: string): unknown => Object.values(parseListenAddress(text, '--listen'));
  assert.deepEqual(read('127.0.0.1:9479'), ['127.0.0.1', 9479]);
  assert.deepEqual(read('[::1]:0'), ['::1', 0]);
  assert.deepEqual(read(':9479'), [undefined, 9479]);
  for (const text of ['', '9479', 'localhost', '::1:9479', '127.0.0.1:', 'a:65536', 'http://a:1']) {
    assert.throws(
      () => parseListenAddress(text, '--listen'),
      (error) => hasCode(error, 'usage.listen'),
      text,
    );
  }
});
