import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type ClientHttp2Session, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { mock, test } from 'node:test';
import { eventually } from '../../../test/harness/eventually.ts';
import { endWhenSilent } from './end-when-silent.ts';

interface Sessions extends AsyncDisposable {
  readonly ours: ClientHttp2Session;
  readonly theirs: ServerHttp2Session;
  /** Pings that reached the other side. */
  pings(): number;
}

async function sessions(): Promise<Sessions> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'session') as Promise<[ServerHttp2Session]>;
  const ours = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  ours.on('error', () => undefined);
  const [theirs] = await accepted;
  let pings = 0;
  theirs.on('ping', () => pings++);
  await once(ours, 'remoteSettings');
  mock.timers.enable({ apis: ['setInterval'] });
  return {
    ours,
    theirs,
    pings: () => pings,
    async [Symbol.asyncDispose]() {
      mock.timers.reset();
      ours.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test('a session is asked after 6 s of silence, and goes on when it answers', async () => {
  await using pair = await sessions();
  endWhenSilent(pair.ours);
  for (let pings = 0; pings < 3; pings++) {
    mock.timers.tick(5_000);
    assert.equal(pair.pings(), pings);
    const answered = pair.ours.ping.bind(pair.ours);
    mock.timers.tick(1_000);
    await eventually('it is asked', () => pair.pings() === pings + 1);
    // Answers come in the order of the questions.
    await new Promise<void>((resolve) => {
      answered(() => {
        resolve();
      });
    });
    await eventually('both arrived', () => pair.pings() === pings + 2);
    pings++;
  }
  assert.equal(pair.ours.destroyed, false);
});

test('one that speaks is not asked', async () => {
  await using pair = await sessions();
  const heard = endWhenSilent(pair.ours);
  for (let second = 0; second < 30; second++) {
    mock.timers.tick(1_000);
    heard();
  }
  assert.equal(pair.pings(), 0);
  assert.equal(pair.ours.destroyed, false);
});

test('one that does not answer ends 11 s after its last word', async () => {
  await using pair = await sessions();
  // What comes in isn't looked at any more.
  mock.method(pair.ours, 'ping', () => true);
  endWhenSilent(pair.ours);
  mock.timers.tick(10_000);
  assert.equal(pair.ours.destroyed, false);
  mock.timers.tick(1_000);
  assert.equal(pair.ours.destroyed, true);
});
