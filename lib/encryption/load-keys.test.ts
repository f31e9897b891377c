import assert from 'node:assert/strict';
import { chmod, readdir, stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { formatKeyFile } from './key-file.ts';
import { createKeys } from './keys.ts';
import { loadKeys, parseKeys } from './load-keys.ts';
import { writePrivateFile } from './private-file.ts';
import { formatRecoveryFile } from './recovery-file.ts';

const { keys, recovery } = await createKeys('prod', new Date('2026-11-22T05:30:00Z'));
const keyFile = formatKeyFile(keys);
const recoveryFile = formatRecoveryFile(recovery, undefined);
const raw = Buffer.from('00ff102030405060708090a0b0c0d0e0f0112233445566778899aabbccddeeff', 'hex');

test('keys of every kind are recognised by their content, and say what they can do', () => {
  const publicKeys = parseKeys(Buffer.from(keyFile), 'k').description.keys.flatMap(
    ({ publicKey }) => publicKey ?? [],
  );
  const cases: [string, string | Buffer, string[]][] = [
    ['key-file', keyFile, ['AES-256 seal open', 'RSA seal', 'Ed25519 sign verify']],
    ['key-file', `\n ${keyFile}`, ['AES-256 seal open', 'RSA seal', 'Ed25519 sign verify']],
    ['recovery-file', recoveryFile, ['RSA open', 'Ed25519 verify']],
    ['public-keys', publicKeys.join('\n'), ['Ed25519 verify']],
    ['aes-key', raw, ['AES-256 seal open', 'Ed25519 sign verify']],
    ['aes-key', raw.toString('base64'), ['AES-256 seal open', 'Ed25519 sign verify']],
    ['aes-key', `${raw.toString('hex')}\n`, ['AES-256 seal open', 'Ed25519 sign verify']],
  ];
  for (const [source, content, abilities] of cases) {
    const { description, encryption, signer, verifier } = parseKeys(Buffer.from(content), 'k');
    assert.equal(description.source, source);
    assert.deepEqual(
      description.keys.map((key) => [key.algorithm, ...key.abilities].join(' ')),
      abilities,
    );
    assert.equal(encryption !== undefined, source !== 'public-keys');
    assert.equal(signer !== undefined, source === 'key-file' || source === 'aes-key');
    assert.notEqual(verifier, undefined);
  }
});

test('one bare key is the same key in every spelling, with the same derived signer', () => {
  const spellings = [
    raw,
    Buffer.from(raw.toString('hex').toUpperCase()),
    Buffer.from(`  ${raw.toString('base64')}\n`),
    Buffer.from(raw.toString('base64url')),
  ];
  const seen = spellings.map((content) =>
    parseKeys(content, 'k')
      .description.keys.map(({ id }) => id)
      .join(' '),
  );
  // Backups depend on these ids: they must never change.
  assert.deepEqual(new Set(seen), new Set(['aes:a2c84a26edcbfa14 ed25519:fc31289539fb0875']));
});

test('a bare key warns that nothing recovers it, and a typed one that it is weak', () => {
  const warnings = (content: string | Buffer): number =>
    parseKeys(Buffer.from(content), 'k').description.warnings.length;
  assert.equal(warnings(raw), 1);
  assert.equal(warnings('0123456789abcdef0123456789abcdef'), 2);
  assert.equal(warnings('0123456789abcdef0123456789abcdef\n'), 2);
  assert.equal(warnings(keyFile), 0);
});

test('what is no key is refused', () => {
  for (const content of [
    '',
    'password',
    raw.toString('hex').slice(1),
    `${raw.toString('base64')}A`,
    raw.subarray(1),
  ]) {
    assert.throws(() => parseKeys(Buffer.from(content), 'Secret a/b'), {
      code: 'keys.malformed',
      message: /^Secret a\/b /,
    });
  }
});

test('a file with secrets that others may read is refused unless its folder is trusted', async () => {
  await using folder = await temporaryFolder();
  const file = folder.join('keys.json');
  await writePrivateFile(file, keyFile);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await loadKeys({ file })).description.label, 'prod');
  for (const mode of [0o640, 0o604, 0o620]) {
    await chmod(file, mode);
    await assert.rejects(loadKeys({ file }), {
      code: 'keys.permissions',
      message: new RegExp(mode.toString(8)),
    });
    await loadKeys({ file }, { permissions: 'ignore' });
  }
  const shared = folder.join('signers.pem');
  const [signer] = recovery.trustedSigners;
  await writeFile(shared, signer?.export({ format: 'pem', type: 'spki' }) ?? '', { mode: 0o644 });
  assert.equal((await loadKeys({ file: shared })).description.source, 'public-keys');
});

test('a recovery file that others may read is read with a warning, whatever its file system', async () => {
  await using folder = await temporaryFolder();
  const file = folder.join('recovery.pem');
  await writeFile(file, recoveryFile, { mode: 0o644 });
  assert.equal((await loadKeys({ file })).description.warnings.length, 1);
  await chmod(file, 0o600);
  assert.equal((await loadKeys({ file })).description.warnings.length, 0);
});

test('a file that cannot be read is told by its path', async () => {
  await using folder = await temporaryFolder();
  for (const file of [folder.join('missing'), folder.path]) {
    await assert.rejects(loadKeys({ file }), { code: 'keys.unreadable', message: new RegExp(file) });
  }
});

test('a private file is never overwritten, and nothing is left where it cannot be written', async () => {
  await using folder = await temporaryFolder();
  const file = folder.join('keys.json');
  await writePrivateFile(file, 'first');
  await assert.rejects(writePrivateFile(file, 'second'), { code: 'keys.exists' });
  await assert.rejects(writePrivateFile(folder.join('no', 'folder'), 'x'), { code: 'keys.unwritable' });
  assert.deepEqual(await readdir(folder.path), ['keys.json']);
});
