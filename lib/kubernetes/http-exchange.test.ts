import assert from 'node:assert/strict';
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createAuthority } from '../../test/harness/certificates.ts';
import { createExchanger } from './http-exchange.ts';

/** More than there are connections. */
const MANY = 200;

/** Answers after a moment, so that requests have to wait for each other's connections. */
const slowly: RequestListener = (incoming, response) => {
  incoming.resume().once('end', () => {
    void delay(50).then(() => response.end('{}'));
  });
};

async function asked(server: Server, scheme: string, ca?: string): Promise<number[]> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const exchanger = createExchanger(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    const answers = await Promise.all(
      Array.from({ length: MANY }, () =>
        exchanger.send(
          { method: 'POST', path: '/', headers: {}, body: Buffer.from('{}'), timeoutMs: 120_000 },
          { headers: {}, tls: { ca } },
          1_000,
        ),
      ),
    );
    return answers.map(({ status }) => status);
  } finally {
    exchanger.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('more requests at once than there are connections are all sent, one after the other', async () => {
  const statuses = await asked(createPlainServer(slowly), 'http');
  assert.deepEqual(new Set(statuses), new Set([200]));
});

test('and over TLS', async () => {
  await using authority = await createAuthority();
  const { certificate, key } = await authority.issue();
  const server = createServer({ cert: certificate, key }, slowly);
  const statuses = await asked(server, 'https', authority.certificate);
  assert.deepEqual(new Set(statuses), new Set([200]));
});
