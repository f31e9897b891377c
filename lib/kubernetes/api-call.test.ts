import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { openStream } from './api-call.ts';
import { createExchanger } from './http-exchange.ts';
import { createRequestRate } from './request-rate.ts';

test(
  'a refusal whose text never ends is waited for no longer than an answer',
  { timeout: 20_000 },
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
