import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { SnapshotDigest, type DatabaseDigest } from './snapshot-digest.ts';

const DATABASE = Buffer.from(Array.from({ length: 4096 }, (_, at) => (at * 31) & 255));
const SHA256 = createHash('sha256').update(DATABASE).digest();

function digestOf(bytes: Buffer, chunkSize: number): DatabaseDigest {
  const digest = new SnapshotDigest();
  for (let at = 0; at < bytes.length; at += chunkSize) digest.update(bytes.subarray(at, at + chunkSize));
  return digest.finish();
}

test('the trailer is told from the database, however the bytes are cut', () => {
  const file = Buffer.concat([DATABASE, SHA256]);
  for (const chunkSize of [1, 31, 32, 33, 100, 4095, 4096, 4097, 10_000]) {
    assert.deepEqual(digestOf(file, chunkSize), { trailer: 'ok', sha256: SHA256.toString('hex') });
    assert.deepEqual(digestOf(DATABASE, chunkSize), { trailer: 'missing', sha256: SHA256.toString('hex') });
  }
});

test('any flipped bit of database or trailer is a mismatch', () => {
  for (const at of [0, 2000, 4095, 4096, 4127]) {
    const file = Buffer.concat([DATABASE, SHA256]);
    file.writeUInt8(file.readUInt8(at) ^ 8, at);
    assert.equal(digestOf(file, 1000).trailer, 'mismatch');
  }
});

test('nothing at all has no trailer', () => {
  assert.equal(digestOf(Buffer.alloc(0), 10).trailer, 'missing');
});
