import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENCRYPTED_VALUES, keysNeeded } from './keys-needed.ts';

test('each prefix is the key that it names, the most used first', () => {
  const counted = [
    { prefix: 'k8s:enc:aescbc:v1:key1:', liveKeys: 2 },
    { prefix: 'k8s:enc:kms:v2:vault:', liveKeys: 40 },
    { prefix: 'k8s:enc:kms:v1:old-kms:', liveKeys: 1 },
    { prefix: 'k8s:enc:secretbox:v1:box:', liveKeys: 1 },
    { prefix: 'k8s:enc:aesgcm:v1:a\u001b[31m:', liveKeys: 1 },
  ];
  assert.deepEqual(keysNeeded(counted), [
    { provider: 'kms-v2', key: 'vault', values: 40 },
    { provider: 'aescbc', key: 'key1', values: 2 },
    { provider: 'kms-v1', key: 'old-kms', values: 1 },
    { provider: 'secretbox', key: 'box', values: 1 },
    { provider: 'aesgcm', key: 'a?[31m', values: 1 },
  ]);
});

test('a scheme that this program doesn’t know is told as it is', () => {
  const counted = [
    { prefix: 'k8s:enc:kms:v3:vault:', liveKeys: 1 },
    { prefix: ENCRYPTED_VALUES.marker, liveKeys: 1 },
  ];
  assert.deepEqual(keysNeeded(counted), [
    { provider: 'unknown', key: 'k8s:enc:kms:v3:vault:', values: 1 },
    { provider: 'unknown', key: 'k8s:enc:', values: 1 },
  ]);
  assert.deepEqual(keysNeeded([]), []);
});
