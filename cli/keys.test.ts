import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { type TemporaryFolder, temporaryFolder } from '../test/harness/temporary-folder.ts';
import { keysCommand } from './keys.ts';

const now = new Date('2026-11-22T05:30:00Z');

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `keys ...args`; rejects with what the command throws. */
async function keys(...args: string[]): Promise<Outcome> {
  const said = { stdout: '', stderr: '' };
  const terminal = {
    stdout: { write: (text: string) => (said.stdout += text) },
    stderr: { write: (text: string) => (said.stderr += text) },
    env: {},
    signal: new AbortController().signal,
  };
  const command = keysCommand({ terminal, clock: () => now, exitCode: 0, doubt: undefined });
  for (const child of [command, ...command.commands]) {
    child.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  }
  await command.parseAsync(args, { from: 'user' });
  return said;
}

let folder: TemporaryFolder;
let keyFile: string;
let recoveryFile: string;
let passphraseFile: string;
let created: Outcome;

before(async () => {
  folder = await temporaryFolder();
  keyFile = folder.join('guardian.key');
  recoveryFile = folder.join('recovery.pem');
  passphraseFile = folder.join('passphrase');
  await writeFile(passphraseFile, 'correct horse\nand a second line\n');
  created = await keys(...create(keyFile, recoveryFile), '--recovery-passphrase-file', passphraseFile);
});

after(() => folder[Symbol.asyncDispose]());

function create(out: string, recoveryOut: string): string[] {
  return ['create', '--out', out, '--recovery-out', recoveryOut, '--label', 'prod'];
}

test('create writes two private files and says what each key does', async () => {
  for (const file of [keyFile, recoveryFile]) assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.match(
    created.stdout,
    /key file: +.*guardian\.key\nlabel: +prod\nmade: +2026-11-22T05:30:00\.000Z\n/,
  );
  assert.match(created.stdout, /aes:[0-9a-f]{16} +AES-256 +encrypts, decrypts\n/);
  assert.match(created.stdout, /recovery:[0-9a-f]{16} +RSA +encrypts\n/);
  assert.match(created.stdout, /ed25519:[0-9a-f]{16} +Ed25519 +signs, checks signatures\n/);
});

test('create tells the person what to do with the recovery file, and why', async () => {
  assert.match(created.stderr, /Take .*recovery\.pem off this machine now/);
  assert.match(created.stderr, /without it, losing the key file means\nlosing every backup/);
  assert.match(created.stderr, /It is encrypted: keep its passphrase apart/);
  const open = await keys(...create(folder.join('open.key'), folder.join('open.pem')));
  assert.match(open.stderr, /It is not encrypted: whoever finds it can read every backup/);
});

test('no command prints a secret', async () => {
  const file = JSON.parse(await readFile(keyFile, 'utf8')) as Record<string, Record<string, string>>;
  const secrets = [file.encryptionKey?.key ?? '', file.signingKey?.privateKey ?? ''];
  const shown = await Promise.all([
    keys('show', '--key-file', keyFile),
    keys('show', '--key-file', keyFile, '--output', 'json'),
    keys('show', '--key-file', recoveryFile, '--key-passphrase-file', passphraseFile, '--output', 'yaml'),
  ]);
  for (const { stdout, stderr } of [created, ...shown]) {
    for (const secret of secrets) assert.equal(`${stdout}${stderr}`.includes(secret), false);
    assert.equal(`${stdout}${stderr}`.includes('PRIVATE KEY'), false);
  }
});

test('an existing file is never overwritten, and then nothing is written at all', async () => {
  const content = await readFile(keyFile, 'utf8');
  const other = folder.join('other');
  for (const args of [create(keyFile, other), create(other, recoveryFile), create(other, other)]) {
    await assert.rejects(keys(...args), { code: 'keys.exists' });
    assert.equal((await readdir(folder.path)).includes('other'), false);
  }
  assert.equal(await readFile(keyFile, 'utf8'), content);
});

test('the public part is PEM, and a key file that verifies', async () => {
  const { stdout } = await keys('show', '--key-file', keyFile, '--public');
  assert.match(stdout, /^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n$/);
  const file = folder.join('signers.pem');
  await writeFile(file, stdout);
  const shown = await keys('show', '--key-file', file);
  assert.match(shown.stdout, /public keys: .*signers\.pem\n/);
  assert.match(shown.stdout, /ed25519:[0-9a-f]{16} +Ed25519 +checks signatures\n$/);
});

test('recover makes a working key file and a new recovery file of the recovery file alone', async () => {
  const [out, recoveryOut] = [folder.join('new.key'), folder.join('new.pem')];
  const paths = ['--recovery-key', recoveryFile, '--out', out, '--recovery-out', recoveryOut];
  await assert.rejects(keys('recover', ...paths), { code: 'keys.passphrase' });
  const recovered = await keys('recover', ...paths, '--recovery-passphrase-file', passphraseFile);
  assert.match(recovered.stderr, /Destroy .*recovery\.pem once the new one is in its place/);
  assert.match(recovered.stdout, /recovery:[0-9a-f]{16} +RSA +encrypts, decrypts\n/);
  assert.match(recovered.stdout, /warning: This file holds the private half of the recovery key/);

  const before = signers((await keys('show', '--key-file', keyFile)).stdout);
  const after = signers((await keys('show', '--key-file', out)).stdout);
  assert.equal(after.length, 2);
  assert.deepEqual(after.slice(1), before);
  const text = await readFile(recoveryOut, 'utf8');
  assert.match(text, /-----BEGIN ENCRYPTED PRIVATE KEY-----/);
  assert.deepEqual(signers(text.replaceAll(', ', '\n')), after);
});

test('rotate keeps the old key for reading', async () => {
  const out = folder.join('rotated.key');
  const { stdout, stderr } = await keys('rotate', '--key-file', keyFile, '--out', out);
  assert.match(
    stdout,
    /aes:[0-9a-f]{16} +AES-256 +encrypts, decrypts\naes:[0-9a-f]{16} +AES-256 +decrypts\n/,
  );
  assert.match(stderr, /in place of .*guardian\.key/);
});

test('missing options, files and passphrases are told', async () => {
  const empty = folder.join('empty');
  await writeFile(empty, '\ncorrect horse\n');
  const cases: [string, string[]][] = [
    ['commander.missingMandatoryOptionValue', ['create', '--out', 'x']],
    ['usage.key-file', ['show']],
    ['usage.key-file', ['rotate', '--out', 'x']],
    ['keys.unreadable', ['show', '--key-file', folder.join('missing')]],
    ['usage.passphrase-file', [...create('x', 'y'), '--recovery-passphrase-file', folder.join('missing')]],
    ['usage.passphrase-file', [...create('x', 'y'), '--recovery-passphrase-file', empty]],
    ['keys.label', ['create', '--out', 'x', '--recovery-out', 'y', '--label', '']],
  ];
  for (const [code, args] of cases) await assert.rejects(keys(...args), { code }, args.join(' '));
  await rm(empty);
});

function signers(text: string): string[] {
  return text.match(/ed25519:[0-9a-f]{16}/g) ?? [];
}
