import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { createAuthority } from '../../test/harness/certificates.ts';
import { hasCode } from '../guardian-error.ts';
import { callApi, openStream } from './api-call.ts';
import { createExchanger } from './http-exchange.ts';
import { createRequestRate } from './request-rate.ts';

test(
  'a refusal whose text never ends is waited for no longer than an answer',
  { timeout: 120_000 },
  async () => {
    const server = createServer((_incoming, response) => {
      response.writeHead(403).write('{"message":');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const exchanger = createExchanger(url);
    try {
      const credentials = () => Promise.resolve({ headers: {}, tls: {} });
      const parts = {
        ...{ access: { server: url, namespace: undefined, credentials }, exchanger },
        ...{ rate: createRequestRate({ perSecond: 100, burst: 100 }), userAgent: 'test', timeoutMs: 200 },
        ...{ largestAnswer: 1_000, random: () => 0 },
      };
      const call = { what: 'watch things', method: 'GET', path: '/', repeatable: false };
      await assert.rejects(openStream(parts, call), (error) => hasCode(error, 'kubernetes.unreachable'));
    } finally {
      exchanger.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  },
);

test('what changes something is sent again where a connection broke before it stood, and only there', async () => {
  await using authority = await createAuthority();
  const { certificate, key } = await authority.issue();
  let connections = 0;
  let requests = 0;
  const server = createSecureServer({ cert: certificate, key }, (incoming, response) => {
    requests += 1;
    if (requests === 1) response.end('{}');
    else incoming.socket.destroy();
  });
  // Before anything of TLS.
  server.prependListener('connection', (socket: Socket) => {
    connections += 1;
    if (connections < 3) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const exchanger = createExchanger(url);
  try {
    const credentials = () => Promise.resolve({ headers: {}, tls: { ca: authority.certificate } });
    const parts = {
      ...{ access: { server: url, namespace: undefined, credentials }, exchanger },
      ...{ rate: createRequestRate({ perSecond: 100, burst: 100 }), userAgent: 'test', timeoutMs: 60_000 },
      ...{ largestAnswer: 1_000, random: () => 0 },
    };
    const call = { what: 'make a thing', method: 'POST', path: '/', body: {}, repeatable: false };
    assert.deepEqual(await callApi(parts, call), {});
    assert.deepEqual([connections, requests], [3, 1]);
    await assert.rejects(callApi(parts, call), (error) => hasCode(error, 'kubernetes.unreachable'));
    assert.equal(requests, 2);
  } finally {
    exchanger.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
