import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../test/harness/eventually.ts';
import { GatheringSocket } from './gathering-socket.ts';

interface Pair extends AsyncDisposable {
  readonly ours: GatheringSocket;
  readonly theirs: Socket;
}

async function connected(gatherMs: number): Promise<Pair> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const ours = new GatheringSocket({ host: '127.0.0.1', port, gatherMs });
  await once(ours, 'connect');
  const [theirs] = await accepted;
  theirs.on('error', () => undefined);
  return {
    ours,
    theirs,
    async [Symbol.asyncDispose]() {
      ours.destroy();
      theirs.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a gathering socket', () => {
  test('takes in together what trickles in, in order', async () => {
    await using pair = await connected(300);
    const { ours, theirs } = pair;
    const pieces: Buffer[] = [];
    ours.on('data', (piece: Buffer) => pieces.push(piece));
    const lines = Array.from({ length: 200 }, (_, index) => `line ${index}\n`);
    const begun = performance.now();
    for (const line of lines) {
      theirs.write(line);
      await delay(1);
    }
    await eventually('all is there', () => Buffer.concat(pieces).toString() === lines.join(''));
    // One at once, then one each 300 ms; timers may be a millisecond early.
    const most = 2 + (performance.now() - begun) / 299;
    assert.ok(pieces.length <= most, `${pieces.length} pieces`);
  });

  test('does not pause while much comes fast', async () => {
    await using pair = await connected(1_000);
    const { ours, theirs } = pair;
    const begun = performance.now();
    theirs.end(Buffer.alloc(64 << 20));
    let length = 0;
    for await (const piece of ours as AsyncIterable<Buffer>) length += piece.length;
    assert.equal(length, 64 << 20);
    // The kernel gathers 6 MB at most, and mostly 64 KiB: a pause after each would take a thousand seconds.
    assert.ok(performance.now() - begun < 120_000);
  });

  test('holds the other side back while it is not read, and loses nothing', async () => {
    await using pair = await connected(5);
    const { ours, theirs } = pair;
    const sent = Buffer.alloc(48 << 20, 'abcdefg');
    theirs.end(sent);
    await once(ours, 'readable');
    assert.ok(theirs.writableLength > 0);
    const pieces: Buffer[] = [];
    for await (const piece of ours as AsyncIterable<Buffer>) pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(sent));
  });

  test('writes at once, and ends both ways', async () => {
    await using pair = await connected(3_600_000);
    const { ours, theirs } = pair;
    ours.resume();
    ours.write('first');
    assert.equal(String(await once(theirs, 'data')), 'first');
    ours.end('last');
    assert.equal(String(await once(theirs, 'data')), 'last');
    await once(theirs, 'end');
    theirs.end();
    await once(ours, 'close');
    assert.equal(ours.errored, null);
  });

  test('ends when the other side does, also while it gathers', async () => {
    await using pair = await connected(20);
    const { ours, theirs } = pair;
    ours.on('data', () => theirs.end('and more'));
    theirs.write('some');
    await once(ours, 'end');
    await once(ours, 'close');
    assert.equal(ours.errored, null);
  });

  test('fails when the connection is reset, or never came to be', async () => {
    await using pair = await connected(20);
    const { ours, theirs } = pair;
    ours.resume();
    theirs.resetAndDestroy();
    const [error] = (await once(ours, 'error').catch((failure: unknown) => [failure])) as [{ code: string }];
    assert.equal(error.code, 'ECONNRESET');

    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const refused = new GatheringSocket({ host: '127.0.0.1', port, gatherMs: 20 });
    await assert.rejects(once(refused, 'connect'), { code: 'ECONNREFUSED' });
  });

  test('closes its connection when it is destroyed', async () => {
    await using pair = await connected(3_600_000);
    const { ours, theirs } = pair;
    theirs.resume();
    ours.destroy();
    await once(theirs, 'end');
  });
});
