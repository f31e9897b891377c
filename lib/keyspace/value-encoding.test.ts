import assert from 'node:assert/strict';
import { test } from 'node:test';
import { valueEncoding } from './value-encoding.ts';

test('a value’s first bytes tell its encoding', () => {
  const cases: [Buffer, string][] = [
    [Buffer.from('k8s\0\x0a\x00', 'latin1'), 'protobuf'],
    [Buffer.from('{"kind":"Widget"}'), 'json'],
    [Buffer.from('d9d9f7a0', 'hex'), 'cbor'],
    [Buffer.from('k8s'), 'unknown'],
    [Buffer.from(' {"kind":"Widget"}'), 'unknown'],
    [Buffer.from('12345'), 'unknown'],
    [Buffer.alloc(0), 'unknown'],
  ];
  for (const [value, kind] of cases) assert.equal(valueEncoding(value).kind, kind, value.toString('latin1'));
});

test('an encrypted value tells scheme and key, and whether it is bound to its place', () => {
  const cases: [string, string, string, boolean][] = [
    ['k8s:enc:aescbc:v1:key1:', 'aescbc', 'key1', false],
    ['k8s:enc:aesgcm:v1:key-2:', 'aesgcm', 'key-2', true],
    ['k8s:enc:secretbox:v1:k:', 'secretbox', 'k', false],
    ['k8s:enc:kms:v1:vault:', 'kms-v1', 'vault', false],
    ['k8s:enc:kms:v2:aws-kms.prod:', 'kms-v2', 'aws-kms.prod', true],
    ['k8s:enc:aescbc:v1:na\x01me:', 'aescbc', 'na?me', false],
  ];
  for (const [prefix, scheme, keyName, boundToKey] of cases) {
    const value = Buffer.concat([Buffer.from(prefix, 'latin1'), Buffer.from('00:ff:00', 'latin1')]);
    assert.deepEqual(valueEncoding(value), {
      kind: 'encrypted',
      encryption: { scheme, keyName, boundToKey },
    });
  }
});

test('what only begins like an encrypted value is unknown', () => {
  for (const value of [
    'k8s:enc:',
    'k8s:enc:aescbc:v1:',
    'k8s:enc:aescbc:v1::x',
    'k8s:enc:aescbc:v1:key',
    'k8s:enc:aescbc:v2:key:x',
    'k8s:enc:rot13:v1:key:x',
    `k8s:enc:aescbc:v1:${'k'.repeat(600)}:x`,
  ]) {
    assert.deepEqual(valueEncoding(Buffer.from(value)), { kind: 'unknown' }, value.slice(0, 40));
  }
});
