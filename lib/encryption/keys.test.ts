import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { chunksOf, collectBytes } from '../../test/harness/byte-stream.ts';
import { formatKeyFile, parseKeyFile } from './key-file.ts';
import { type KeySet, keySetOfKeyFile, keySetOfRecoveryFile } from './key-set.ts';
import { createKeys, recoverKeys, rotateEncryptionKey } from './keys.ts';
import { formatRecoveryFile, parseRecoveryFile } from './recovery-file.ts';
import { openDocument, signDocument } from './signed-document.ts';

const now = new Date('2026-11-22T05:30:00Z');
const later = new Date('2027-01-01T03:00:00Z');
const type = 'application/test';
const { keys, recovery } = await createKeys('prod', now);

/** A sealed object and a signed manifest, as they lie in a bucket. */
interface Backup {
  readonly sealed: Buffer;
  readonly manifest: Buffer;
}

test('with the cluster and the key file gone, the recovery file alone reads every backup', async () => {
  const backup = await write(keySetOfKeyFile(keys), 'before the fire');
  const offline = formatRecoveryFile(recovery, 'secret');

  const found = parseRecoveryFile(offline, 'stick', 'secret');
  assert.equal(await read(keySetOfRecoveryFile(found), backup), 'before the fire');
  assert.equal(keySetOfRecoveryFile(found).signer, undefined);
});

test('a recovered key file reads what was before, and writes on with new keys', async () => {
  const before = await write(keySetOfKeyFile(keys), 'before');
  const recovered = recoverKeys(recovery, later);
  const working = keySetOfKeyFile(parseKeyFile(formatKeyFile(recovered.keys), 'keys.json'));
  const after = await write(working, 'after');

  assert.equal(await read(working, before), 'before');
  assert.equal(await read(working, after), 'after');
  // Whoever holds the lost key file can neither read nor sign what comes after.
  await assert.rejects(read(keySetOfKeyFile(keys), after), { code: 'signature.untrusted' });
  await assert.rejects(open(keySetOfKeyFile(keys), after), { code: 'encryption.key-missing' });
});

test('a second disaster is survived with the new recovery file, and the old one still opens', async () => {
  const first = { keys, recovery };
  const second = recoverKeys(first.recovery, later);
  const backups = [
    await write(keySetOfKeyFile(first.keys), 'one'),
    await write(keySetOfKeyFile(second.keys), 'two'),
  ] as const;
  const third = keySetOfKeyFile(recoverKeys(second.recovery, later).keys);
  for (const [index, text] of ['one', 'two'].entries()) {
    const backup = backups[index];
    assert.ok(backup);
    assert.equal(await read(third, backup), text);
    assert.equal(await read(keySetOfRecoveryFile(second.recovery), backup), text);
  }
  const oldFile = keySetOfRecoveryFile(first.recovery);
  await assert.rejects(read(oldFile, backups[1]), { code: 'signature.untrusted' });
  assert.equal(await open(oldFile, backups[1]), 'two');
});

test('after a rotation old and new backups open, and the old key file opens only the old ones', async () => {
  const rotated = rotateEncryptionKey(rotateEncryptionKey(keys, later), later);
  const before = await write(keySetOfKeyFile(keys), 'before');
  const after = await write(keySetOfKeyFile(rotated), 'after');
  assert.equal(await read(keySetOfKeyFile(rotated), before), 'before');
  assert.equal(await read(keySetOfKeyFile(rotated), after), 'after');
  assert.equal(await read(keySetOfRecoveryFile(recovery), after), 'after');
  await assert.rejects(read(keySetOfKeyFile(keys), after), { code: 'encryption.key-missing' });
});

test('new objects are sealed for exactly the current AES key and the recovery key', () => {
  const recovered = recoverKeys(recovery, later).keys;
  for (const some of [
    keys,
    rotateEncryptionKey(keys, later),
    recovered,
    rotateEncryptionKey(recovered, later),
  ]) {
    const recipients = keySetOfKeyFile(some).encryption?.recipients ?? [];
    assert.deepEqual(
      recipients.map(({ kind }) => kind),
      ['aes-256', 'recovery-rsa'],
    );
  }
});

test('a recovered key file warns that it holds the recovery key', () => {
  assert.equal(keySetOfKeyFile(keys).description.warnings.length, 0);
  assert.equal(keySetOfKeyFile(recoverKeys(recovery, later).keys).description.warnings.length, 1);
});

test('no secret shows in what is printed about keys', () => {
  const shown = [keys, recovery, keySetOfKeyFile(keys), keySetOfRecoveryFile(recovery)]
    .flatMap((value) => [inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value)])
    .join('\n');
  const secret = keys.encryptionKey.export();
  for (const text of [secret.toString('base64'), secret.toString('hex'), 'PRIVATE KEY']) {
    assert.equal(shown.includes(text), false);
  }
});

test('a label that would break a line of the recovery file is refused', async () => {
  for (const label of ['', ' x', 'a\nb', '-----BEGIN', 'x'.repeat(65)]) {
    await assert.rejects(createKeys(label, now), { code: 'keys.label' });
  }
});

const context = { cluster: 'c', timeline: 't', object: 'o' };

async function write(keys: KeySet, text: string): Promise<Backup> {
  assert.ok(keys.encryption);
  return {
    sealed: await collectBytes(keys.encryption.seal(chunksOf(Buffer.from(text), 3), context)),
    manifest: signDocument(type, Buffer.from(text), keys.signer),
  };
}

async function read(keys: KeySet, backup: Backup): Promise<string> {
  const manifest = openDocument(backup.manifest, type, keys.verifier);
  assert.equal(manifest.toString(), await open(keys, backup));
  return manifest.toString();
}

async function open(keys: KeySet, { sealed }: Backup): Promise<string> {
  assert.ok(keys.encryption);
  return (await collectBytes(keys.encryption.open(chunksOf(sealed, 100), context))).toString();
}
