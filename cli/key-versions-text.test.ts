import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeyValue } from '../lib/etcd/mvcc/key-value.ts';
import {
  type KeyVersion,
  putVersion,
  valuesText,
  valueText,
  versionsText,
  versionValue,
  whatHappened,
} from './key-versions-text.ts';

const SECRET = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'db', namespace: 'shop', uid: 'u-1' },
});

function kv(value: string | Buffer, version: bigint, lease = 0n): KeyValue {
  const [key, bytes] = [Buffer.from('k'), Buffer.from(value as string)];
  return { key, value: bytes, version, createRevision: 2n, modRevision: 1n + version, lease };
}

function versionOf(put: KeyValue | undefined, revision: bigint, before?: Buffer): KeyVersion {
  return {
    ...{ revision, what: whatHappened(put, before), knownBy: undefined },
    seenAt: new Date('2026-11-22T14:05:00Z'),
    put: put && putVersion(put, true),
  };
}

const HISTORY = [
  { ...versionOf(kv(SECRET, 1n), 2n), seenAt: undefined, knownBy: new Date('2026-11-22T14:00:00Z') },
  versionOf(kv(SECRET, 2n), 3n, Buffer.from(SECRET)),
  versionOf(kv('k8s:enc:kms:v2:vault:xyz', 3n, 255n), 4n, Buffer.from(SECRET)),
  versionOf(undefined, 5n),
];

test('each version is a line: when, what became of the key, what it holds', () => {
  assert.deepEqual(versionsText(HISTORY).trimEnd().split('\n').slice(1), [
    '2         before 2026-11-22T14:00:00Z  created        1        91 B  Secret shop/db, uid u-1',
    '3         2026-11-22T14:05:00.000Z     written again  2        91 B  Secret shop/db, uid u-1',
    '4         2026-11-22T14:05:00.000Z     changed        3        24 B  encrypted at rest (kms-v2 vault), lease ff',
    '5         2026-11-22T14:05:00.000Z     DELETED',
  ]);
});

test('values are shown under their revisions', () => {
  const text = valuesText(HISTORY);
  assert.match(text, /^\n--- revision 2: created, 91 B\n\{\n {2}"apiVersion": "v1",\n/);
  assert.match(text, /\n--- revision 5: deleted\n$/);
});

test('what a terminal would obey, and what is no text, is not printed as it is', () => {
  assert.equal(valueText(Buffer.from('a\u202eb')), 'a\\u{202e}b');
  assert.equal(valueText(Buffer.from('\u001b[31m')), '(base64) G1szMW0=');
  assert.equal(valueText(Buffer.from([0xff, 0x00])), '(base64) /wA=');
});

test('machines read the same, with the value in base64', () => {
  const [created] = HISTORY.map(versionValue);
  assert.deepEqual(
    [created?.what, created?.seenAt, created?.version, created?.lease],
    ['created', null, 1n, null],
  );
  assert.equal(created?.valueBase64, Buffer.from(SECRET).toString('base64'));
  assert.deepEqual(versionValue(versionOf(undefined, 5n)), {
    ...{ revision: 5n, seenAt: new Date('2026-11-22T14:05:00Z'), knownBy: null, what: 'deleted' },
  });
});
