import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { GuardianError } from '../../lib/guardian-error.ts';
import { verifyMember } from './member-etcd.ts';
import { deadlineIn } from './node-service.ts';

test('a member that never answers is told with the whole milliseconds that it was given', async () => {
  await using server = createServer((socket) => socket.resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const etcd = { endpoints: [`http://127.0.0.1:${address.port}`], dataDir: '/nowhere' } as Parameters<
    typeof verifyMember
  >[0];
  const staged = {} as Parameters<typeof verifyMember>[1];
  await assert.rejects(
    verifyMember(etcd, staged, deadlineIn(2_500.5, new AbortController().signal)),
    (error: unknown) => error instanceof GuardianError && / within \d+ ms: /.test(error.message),
  );
});
