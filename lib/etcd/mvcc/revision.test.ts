import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  compareRevisions,
  decodeRevisionKey,
  encodeRevisionKey,
  isRevisionKey,
  readMain,
  readSub,
  writeRevisionKey,
} from './revision.ts';

const CASES = [
  { main: 7n, sub: 0n, tombstone: false, hex: '00000000000000075f0000000000000000' },
  { main: 10n, sub: 0n, tombstone: true, hex: '000000000000000a5f000000000000000074' },
  { main: 1000003616n, sub: 0n, tombstone: false, hex: '000000003b9ad8205f0000000000000000' },
  { main: 2n ** 53n - 1n, sub: 2n ** 32n - 1n, tombstone: true, hex: '001fffffffffffff5f00000000ffffffff74' },
];

test('revision keys are the bytes that etcd writes', () => {
  for (const { hex, ...key } of CASES) {
    const bytes = Buffer.from(hex, 'hex');
    assert.deepEqual(encodeRevisionKey(key, key.tombstone), bytes);
    assert.deepEqual(decodeRevisionKey(bytes), key);
    const target = Buffer.alloc(18);
    const end = writeRevisionKey(target, 0, Number(key.main), Number(key.sub), key.tombstone);
    assert.deepEqual(target.subarray(0, end), bytes);
    assert.equal(readMain(bytes, 0), Number(key.main));
    assert.equal(readSub(bytes, 0), Number(key.sub));
  }
});

test('other bytes are not revision keys', () => {
  for (const hex of [
    '',
    '00000000000000075f00000000000000', // 16 bytes
    '00000000000000075e0000000000000000', // separator
    '00000000000000075f000000000000000073', // mark
    '00000000000000075f00000000000000007474', // 19 bytes
    '80000000000000075f0000000000000000', // negative
    '00200000000000005f0000000000000000', // 2^53
    '00000000000000075f0000000100000000', // sub 2^32
  ]) {
    const bytes = Buffer.from(hex, 'hex');
    assert.equal(decodeRevisionKey(bytes), undefined, hex);
    assert.equal(isRevisionKey(bytes, 0, bytes.length), false, hex);
  }
});

test('revisions order by main, then sub', () => {
  assert.ok(compareRevisions({ main: 2n, sub: 9n }, { main: 3n, sub: 0n }) < 0);
  assert.ok(compareRevisions({ main: 3n, sub: 1n }, { main: 3n, sub: 0n }) > 0);
  assert.equal(compareRevisions({ main: 3n, sub: 1n }, { main: 3n, sub: 1n }), 0);
});
