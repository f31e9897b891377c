import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeLease, encodeLease, encodeLeaseKey } from './lease.ts';

test('a lease is the bytes that etcd writes', () => {
  const lease = { id: 0x13b0a201131c3b0dn, ttlSeconds: 3600n, remainingSeconds: 0n };
  assert.equal(encodeLeaseKey(lease.id).toString('hex'), '13b0a201131c3b0d');
  assert.equal(encodeLease(lease).toString('hex'), '088df6f09891c0a8d81310901c');
  assert.deepEqual(decodeLease(encodeLease(lease)), lease);
  const checkpointed = { id: -2n, ttlSeconds: 60n, remainingSeconds: 7n };
  assert.deepEqual(decodeLease(encodeLease(checkpointed)), checkpointed);
});

test('what is not a lease is refused', () => {
  assert.equal(decodeLease(Buffer.from('0880', 'hex')), undefined);
  assert.equal(decodeLease(Buffer.from('0f', 'hex')), undefined);
});
