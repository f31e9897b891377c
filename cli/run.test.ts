import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../lib/clock.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { failureText, run } from './run.ts';

async function told(
  args: readonly string[],
  signal = new AbortController().signal,
): Promise<[number, string, string]> {
  const said = { stdout: '', stderr: '' };
  const terminal = {
    stdout: { write: (text: string) => (said.stdout += text) },
    stderr: { write: (text: string) => (said.stderr += text) },
    ...{ env: {}, signal },
  };
  return [await run(args, terminal, systemClock), said.stdout, said.stderr];
}

test('what failed comes first, then why, then what to do', () => {
  const socket = new Error('connect ECONNREFUSED 127.0.0.1:2379');
  const connection = new Error('14 UNAVAILABLE', { cause: socket });
  const error = new GuardianError('etcd.refused', 'etcd can’t be reached', {
    hint: 'start it',
    cause: connection,
  });
  assert.equal(
    failureText(error),
    `etcdguardian: etcd can’t be reached [etcd.refused]
  because: 14 UNAVAILABLE
  because: connect ECONNREFUSED 127.0.0.1:2379
  what to do: start it
`,
  );
});

test('a cause that the message holds already is not repeated, and a chain of causes has an end', () => {
  const reason = new Error('no such file');
  const repeated = new GuardianError('keys.unreadable', 'k can’t be read: no such file', { cause: reason });
  assert.equal(failureText(repeated), 'etcdguardian: k can’t be read: no such file [keys.unreadable]\n');
  const circular = new Error('round');
  circular.cause = new Error('and round', { cause: circular });
  const lines = failureText(new GuardianError('a.b', 'it failed', { cause: circular })).split('\n');
  assert.ok(lines.length < 8, lines.join('\n'));
});

test('what nobody foresaw is told as a defect, with its stack', () => {
  const text = failureText(new TypeError('x is not a function'));
  assert.match(
    text,
    /^etcdguardian: this is a defect in etcdguardian itself, please report it:\nTypeError: x is not a function\n +at /,
  );
  assert.match(failureText('a text'), /:\na text\n$/);
});

test('help and version succeed, and say it on stdout', async () => {
  for (const args of [
    ['--version'],
    ['--help'],
    ['backup', '--help'],
    ['help', 'backup'],
    ['restore', '--help'],
  ]) {
    const [status, stdout, stderr] = await told(args);
    assert.deepEqual([status, stderr, stdout !== ''], [0, '', true], args.join(' '));
  }
  assert.deepEqual(await told(['-V']), await told(['--version']));
});

test('a command line that is wrong ends with 2, and a near miss is corrected', async () => {
  const [status, stdout, stderr] = await told(['snapshot', 'verfy']);
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /unknown command 'verfy'\n\(Did you mean verify\?\)/);
  assert.match((await told(['bakcup', 'list']))[2], /Did you mean backup\?/);
  assert.match(
    (await told(['doctor']))[2],
    /unknown command 'doctor'\n.*\n\(there is: etcdguardian kube doctor\)\n$/,
  );
  assert.equal((await told([]))[0], 2);
});

test('an interruption is told as such, whatever failed because of it', async () => {
  const missing = ['snapshot', 'verify', '/nowhere/snapshot.db'];
  assert.equal((await told(missing))[0], 4);
  assert.deepEqual(await told(missing, AbortSignal.abort()), [
    ...[130, '', 'etcdguardian: interrupted; nothing half-done is listed\n'],
  ]);
});

test('a failure is told on a clean line where a person watches', async () => {
  let shown = '';
  const stderr = { isTTY: true, write: (text: string) => (shown += text) };
  const { signal } = new AbortController();
  const terminal = { stdout: stderr, stderr, env: {}, signal };
  await run(['snapshot', 'verify', '/nowhere/snapshot.db'], terminal, () => new Date());
  assert.ok(shown.startsWith('\r\u001b[Ketcdguardian: '), shown);
});
