import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../guardian-error.ts';
import { formatKeyFile, parseKeyFile } from './key-file.ts';
import { createKeys, recoverKeys, rotateEncryptionKey } from './keys.ts';

const now = new Date('2026-11-22T05:30:00Z');
const { keys, recovery } = await createKeys('prod eu-1', now);
const text = formatKeyFile(keys);

test('a key file says everything again that was written into it', () => {
  const recovered = recoverKeys(recovery, now).keys;
  for (const written of [keys, rotateEncryptionKey(keys, now), recovered]) {
    const read = parseKeyFile(formatKeyFile(written), 'keys.json');
    assert.equal(read.label, 'prod eu-1');
    assert.deepEqual(read.createdAt, now);
    assert.ok(read.encryptionKey.equals(written.encryptionKey));
    assert.ok(read.signingKey.equals(written.signingKey));
    assert.ok(read.recoveryKey.equals(written.recoveryKey));
    assert.equal(formatKeyFile(read), formatKeyFile(written));
  }
});

test('a key file shows ids beside keys', () => {
  const file = JSON.parse(text) as Record<string, { id: string }>;
  assert.match(file.encryptionKey?.id ?? '', /^aes:[0-9a-f]{16}$/);
  assert.match(file.signingKey?.id ?? '', /^ed25519:[0-9a-f]{16}$/);
  assert.match(file.recoveryKey?.id ?? '', /^recovery:[0-9a-f]{16}$/);
});

test('a damaged key file is refused by name, with the field and never with a secret', () => {
  const secret = keys.encryptionKey.export().toString('base64');
  const cases: [string, string, RegExp][] = [
    ['cut off', text.slice(0, text.length / 2), /it is not JSON/],
    [
      'another key under the id',
      text.replace(secret, Buffer.alloc(32).toString('base64')),
      /encryptionKey: the key does not belong to its id aes:/,
    ],
    [
      'a short key',
      text.replace(secret, Buffer.alloc(31).toString('base64')),
      /encryptionKey: an AES-256 key has 32 bytes, this one has 31/,
    ],
    ['no base64', text.replace(secret, 'secret!'), /encryptionKey\.key: Invalid base64/],
    ['a field too many', text.replace('"label"', '"kms": 1, "label"'), /Unrecognized key: "kms"/],
    ['a field missing', text.replace('"previous"', '"former"'), /previous: /],
    ['a label of two lines', text.replace('prod eu-1', 'a\\nb'), /label: not a label/],
  ];
  for (const [name, damaged, message] of cases) {
    assert.throws(
      () => parseKeyFile(damaged, 'keys.json'),
      (error) => {
        assert.ok(error instanceof GuardianError, name);
        assert.equal(error.code, 'keys.malformed', name);
        assert.match(error.message, /^keys\.json is not a key file/, name);
        assert.match(error.message, message, name);
        assert.equal(error.message.includes(secret), false, name);
        return true;
      },
    );
  }
});

test('every changed character of a key file is noticed, or changes only its label or time', () => {
  const free = [...span('"prod eu-1"'), ...span('"2026-11-22T05:30:00.000Z"')];
  for (let offset = 0; offset < text.length; offset++) {
    if (free.includes(offset) || text[offset]?.trim() === '') continue;
    const changed = `${text.slice(0, offset)}${text[offset] === 'A' ? 'B' : 'A'}${text.slice(offset + 1)}`;
    assert.throws(() => parseKeyFile(changed, 'keys.json'), GuardianError, `offset ${offset}`);
  }
});

function span(part: string): number[] {
  return Array.from(part, (_, index) => text.indexOf(part) + index);
}

test('a key file of a later format is told apart from a damaged one', () => {
  assert.throws(() => parseKeyFile(text.replace('key-file/1', 'key-file/2'), 'keys.json'), {
    code: 'keys.format',
  });
});
