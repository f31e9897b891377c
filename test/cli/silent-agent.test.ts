import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { saveCredentials } from '../../lib/pki/credential-folder.ts';
import { BREAK_GLASS, credentialsFor, newAuthority } from '../../lib/pki/installation.fixture.ts';
import { eventually } from '../harness/eventually.ts';
import { guardianCli } from '../harness/guardian-cli.ts';
import { startProcess } from '../harness/server-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

/** Left to itself the operating system goes on to connect for more than two minutes. */
const SOON_MS = 60_000;
/** Takes nobody in: it stands still, and its kernel's queue is full, so that who connects hears nothing at all. */
const LISTENER = `
  const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 });
  server.once('listening', () => console.log('port ' + server.address().port));
`;

test('a command ends when it has told that an agent doesn’t answer', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const listener = await startProcess(process.execPath, ['-e', LISTENER]);
  stack.defer(() => listener.kill());
  const port = Number((await listener.line(/^port \d+$/)).replace('port ', ''));
  listener.signal('SIGSTOP');
  let waiting = 0;
  const fill = Array.from({ length: 8 }, () => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.on('connect', () => (waiting += 1));
    return socket;
  });
  stack.defer(() => {
    for (const socket of fill) socket.destroy();
  });
  await eventually('its queue is full', () => waiting >= 2);

  const credentials = folder.join('credentials');
  await saveCredentials(credentials, await credentialsFor(await newAuthority(), BREAK_GLASS));
  const began = performance.now();
  const args = ['restore', 'status', '--agent', `cp1=127.0.0.1:${port}`, '--credentials', credentials];
  const running = stack.use(await guardianCli(folder).start(args));
  await running.exited;
  assert.match(running.output(), /the agent of cp1 .* can't be reached/);
  assert.ok(performance.now() - began < SOON_MS, `${Math.round(performance.now() - began)} ms`);
});
