import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { createKeys } from './keys.ts';
import { writePrivateFile } from './private-file.ts';
import { formatRecoveryFile, holdsPrivateKey, parseRecoveryFile, publicSigners } from './recovery-file.ts';
import { signingKeyId } from './signing-key.ts';

const now = new Date('2026-11-22T05:30:00Z');
const { recovery } = await createKeys('prod', now);
const open = formatRecoveryFile(recovery, undefined);
const locked = formatRecoveryFile(recovery, 'correct horse');

test('a recovery file gives back key, signers, label and time, with and without a passphrase', () => {
  for (const [text, passphrase] of [
    [open, undefined],
    [open, 'not needed'],
    [locked, 'correct horse'],
  ] as const) {
    const read = parseRecoveryFile(text, 'recovery.pem', passphrase);
    assert.ok(read.recoveryKey.equals(recovery.recoveryKey));
    assert.deepEqual(read.trustedSigners.map(signingKeyId), recovery.trustedSigners.map(signingKeyId));
    assert.deepEqual([read.label, read.createdAt], ['prod', now]);
  }
});

test('a passphrase that is missing or wrong is told as such', () => {
  for (const passphrase of [undefined, '', 'correct horse\n']) {
    assert.throws(() => parseRecoveryFile(locked, 'recovery.pem', passphrase), { code: 'keys.passphrase' });
  }
  assert.equal(locked.includes('-----BEGIN PRIVATE KEY-----'), false);
});

test('the PEM blocks alone are enough, also with other line ends and text around them', () => {
  const block = /-----BEGIN PRIVATE KEY-----[^]*?-----END PRIVATE KEY-----\n/.exec(open)?.[0] ?? '';
  const alone = parseRecoveryFile(block, 'typed', undefined);
  assert.ok(alone.recoveryKey.equals(recovery.recoveryKey));
  assert.deepEqual([alone.label, alone.trustedSigners.length], ['recovered', 0]);
  const moved = parseRecoveryFile(
    `\r\nsome words\r\n${open.replaceAll('\n', '\r\n')}\r\nmore`,
    'mailed',
    undefined,
  );
  assert.equal(moved.trustedSigners.length, 1);
});

test('a file that is no recovery file, or a damaged one, is refused', () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    format: 'pem',
    type: 'pkcs8',
  });
  const elliptic = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  const cases: [string, string][] = [
    ['nothing', ''],
    ['no private key', open.replaceAll('PRIVATE KEY', 'PUBLIC KEY').slice(0, 100)],
    ['two private keys', open + open],
    ['a line missing', open.replace(/(BEGIN PRIVATE KEY-----\n)[^\n]+\n/, '$1')],
    ['a weak key', weak],
    ['a signing key', elliptic],
  ];
  for (const [name, text] of cases) {
    assert.throws(() => parseRecoveryFile(text, 'recovery.pem', undefined), { code: 'keys.malformed' }, name);
  }
});

test('public keys are found with no private key about', () => {
  const [signer] = recovery.trustedSigners;
  const text = signer?.export({ format: 'pem', type: 'spki' }) ?? '';
  assert.equal(holdsPrivateKey(text), false);
  assert.equal(publicSigners(text, 'signers.pem').length, 1);
  assert.equal(holdsPrivateKey(locked) && holdsPrivateKey(open), true);
});

test('openssl reads the encrypted key', async (t) => {
  await using folder = await temporaryFolder();
  const path = folder.join('recovery.pem');
  await writePrivateFile(path, locked);
  const command = ['pkey', '-in', path, '-passin', 'pass:correct horse', '-pubout'];
  const run = promisify(execFile)('openssl', command).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  const output = await run;
  if (output === undefined) {
    t.skip('openssl is not installed');
    return;
  }
  assert.match(output.stdout, /^-----BEGIN PUBLIC KEY-----/);
});
