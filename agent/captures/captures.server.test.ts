import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { eventually } from '../../test/harness/eventually.ts';
import { needs } from '../../test/harness/tools.ts';
import { startAgentScene } from '../agent-scene.fixture.ts';

/** Takes connections, and never answers. */
async function silentServer(): Promise<AsyncDisposable & { endpoint: string; asked: () => boolean }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => sockets.length > 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test(
  'a capture whose store is silent holds up neither others nor its own end, nor that of the agent',
  needs('etcd 3.6.16', 'versitygw'),
  async () => {
    await using silent = await silentServer();
    await using scene = await startAgentScene();
    const agent = await scene.start('silent');
    const client = scene.client(agent.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const { store, keys, cluster } = scene.request('capture', term);
    const begin = (operation: string, endpoint?: string) =>
      client.startCapture({
        ...{ fence: { operation, term }, keys, cluster },
        store: { ...store, prefix: operation, ...(endpoint === undefined ? {} : { endpoint }) },
      });

    const hanging = begin('cap-silent', silent.endpoint).catch((error: unknown) => error);
    await eventually('the silent store is asked', silent.asked);
    assert.equal((await begin('cap-good')).running, true);
    assert.equal((await client.stopCapture({ fence: { operation: 'cap-silent', term } })).running, false);
    assert.ok((await hanging) instanceof Error);

    const again = begin('cap-silent', silent.endpoint).catch((error: unknown) => error);
    await eventually('it is begun again', async () =>
      (await client.describe({})).captures.some(({ operation }) => operation === 'cap-silent'),
    );
    const began = performance.now();
    await agent.stop();
    assert.ok(performance.now() - began < 60_000);
    await again;
  },
);
