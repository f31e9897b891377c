import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import type { EtcdSettings } from '../lib/etcd/client/etcd-settings.ts';
import { hasCode } from '../lib/guardian-error.ts';
import { type EtcdOptions, etcdSettings } from './etcd-options.ts';

type Env = Readonly<Record<string, string>>;

function settings(options: EtcdOptions, env: Env = {}): EtcdSettings {
  const output = { write: () => true };
  const terminal = { stdout: output, stderr: output, env, signal: new AbortController().signal };
  return etcdSettings(options, terminal);
}

test('the command line comes before etcdctl’s environment', () => {
  const env = {
    ...{ ETCDCTL_ENDPOINTS: 'https://env:2379', ETCDCTL_CACERT: 'env-ca', ETCDCTL_CERT: 'env-cert' },
    ...{ ETCDCTL_KEY: 'env-key', ETCDCTL_USER: 'env', ETCDCTL_PASSWORD: 'secret' },
  };
  const fromEnv = settings({}, env);
  assert.deepEqual(fromEnv.endpoints, ['https://env:2379']);
  assert.deepEqual(fromEnv.credentials, { username: 'env', password: 'secret' });
  const { tls } = fromEnv;
  assert.deepEqual([tls?.caFile, tls?.certFile, tls?.keyFile], ['env-ca', 'env-cert', 'env-key']);
  const given = settings({ endpoints: ' https://a:1, https://b:2 ,', cacert: 'ca', user: 'me:a:b' }, env);
  assert.deepEqual(given.endpoints, ['https://a:1', 'https://b:2']);
  assert.deepEqual([given.tls?.caFile, given.tls?.certFile], ['ca', 'env-cert']);
  assert.deepEqual(given.credentials, { username: 'me', password: 'a:b' });
});

test('an empty variable is one that is not set', () => {
  const env = { ETCDCTL_CACERT: '', ETCDCTL_CERT: '', ETCDCTL_KEY: '', ETCDCTL_USER: '' };
  const { tls, credentials, connectTimeoutMs } = settings({ endpoints: 'http://a:1' }, env);
  assert.deepEqual([tls, credentials, connectTimeoutMs], [undefined, undefined, 5000]);
});

test('a password comes from a file’s first line, the user itself, or the environment, in this order', async () => {
  await using folder = await temporaryFolder();
  const passwordFile = folder.join('password');
  await writeFile(passwordFile, 'from file\r\nsecond line\n');
  const endpoints = 'http://a:1';
  const env = { ETCDCTL_PASSWORD: 'from env' };
  const passwords = [
    settings({ endpoints, user: 'root:inline', passwordFile }, env),
    settings({ endpoints, user: 'root:inline' }, env),
    settings({ endpoints, user: 'root' }, env),
    settings({ endpoints, user: 'root:' }, env),
  ].map(({ credentials }) => credentials?.password);
  assert.deepEqual(passwords, ['from file', 'inline', 'from env', '']);
});

const WRONG: readonly (readonly [string, EtcdOptions, string])[] = [
  ['no endpoint', { endpoints: ' , ' }, 'usage.endpoints'],
  ['a user without a password', { endpoints: 'http://a:1', user: 'root' }, 'usage.password'],
  [
    'a password file that is not there',
    { endpoints: 'http://a:1', user: 'root', passwordFile: '/nowhere' },
    'usage.password-file',
  ],
  ['a time that is none', { endpoints: 'http://a:1', connectTimeout: 'soon' }, 'usage.duration'],
];

for (const [what, options, code] of WRONG) {
  test(`a wrong command line: ${what}`, () => {
    assert.throws(
      () => settings(options),
      (error) => hasCode(error, code),
    );
  });
}
