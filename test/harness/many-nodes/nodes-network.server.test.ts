import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../eventually.ts';
import { runProgram } from '../run-program.ts';
import { startProcess } from '../server-process.ts';
import { layNodesNetwork, needsNodes, type NodePlace } from './nodes-network.ts';

test(
  'nodes reach us and each other, until they are cut off, and again when that is mended',
  needsNodes(),
  async () => {
    await using network = await layNodesNetwork([[], []]);
    const [first, second] = network.nodes;
    assert.ok(first !== undefined && second !== undefined);
    await using ours = await listening(network.hostAddress);
    await using stores = await listening(network.storeAddress);
    assert.ok(await reaches(first, network.hostAddress, ours.port));
    await first.cutFromHost();
    assert.ok(!(await reaches(first, network.hostAddress, ours.port)));
    assert.ok(await reaches(first, network.storeAddress, stores.port));
    assert.ok(await reaches(second, network.hostAddress, ours.port));
    await first.mend();
    assert.ok(await reaches(first, network.hostAddress, ours.port));
    await first.unplug();
    assert.ok(!(await reaches(first, network.storeAddress, stores.port)));
  },
);

test(
  "what a killed test leaves of its network doesn't stand in the way of the next",
  needsNodes(),
  async () => {
    const lonely = await startProcess(process.execPath, [
      join(import.meta.dirname, 'lonely-network.fixture.ts'),
    ]);
    const said = await lonely.line(/^nodes at /);
    const network = /(\d+\.\d+\.\d+)\.\d+/.exec(said)?.[1] ?? '';
    const number = network.replace(/.*\./, '');
    assert.ok((await readdir('/sys/class/net')).includes(`etcdguard${number}`), said);
    await lonely.kill();
    await eventually('nodes can be made', async () => {
      // Another test may have taken its place already, and then has laid a cable of its own.
      await using other = await layNodesNetwork([[]]);
      return other.nodes.length === 1;
    });
  },
);

async function listening(host: string): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

async function reaches({ within }: NodePlace, host: string, port: number): Promise<boolean> {
  const script = `timeout 60 bash -c 'exec 3<>/dev/tcp/${host}/${port}'`;
  const [program = '', ...args] = within;
  return await runProgram(program, [...args, 'bash', '-c', script]).then(
    () => true,
    () => false,
  );
}
