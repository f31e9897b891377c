import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { uidOfNamespace } from './cluster-uid.ts';
import { type ObjectMeta, readStoredObject } from './object-meta.ts';

const UID = '0f2d5a1e-7b7c-4c39-9a55-6a1b9c0d4e2f';

// Written byte by byte: a Namespace as kube-apiserver stores it.
const namespace = Buffer.concat([
  Buffer.from('k8s\0'),
  Buffer.from('0a0f', 'hex'), // typeMeta
  Buffer.from('0a027631', 'hex'), // apiVersion "v1"
  Buffer.from('12094e616d657370616365', 'hex'), // kind "Namespace"
  Buffer.from('12750a73', 'hex'), // raw, its metadata
  Buffer.from('0a0b6b7562652d73797374656d', 'hex'), // name "kube-system"
  Buffer.from('12001a002200', 'hex'), // generateName, namespace, selfLink: empty
  Buffer.from(`2a24${Buffer.from(UID).toString('hex')}`, 'hex'),
  Buffer.from('32003800', 'hex'), // resourceVersion "", generation 0
  Buffer.from('420808' + 'e8b1f3a906' + '1000', 'hex'), // creationTimestamp {seconds, nanos 0}
  Buffer.from('5a2a', 'hex'), // a label
  Buffer.from('0a1b6b756265726e657465732e696f2f6d657461646174612e6e616d65', 'hex'),
  Buffer.from('120b6b7562652d73797374656d', 'hex'),
  Buffer.from('1a002200', 'hex'), // contentEncoding, contentType
]);

test('a Namespace as it lies in etcd is read', () => {
  assert.deepEqual(readStoredObject(namespace), {
    kind: 'object',
    apiVersion: 'v1',
    objectKind: 'Namespace',
    meta: {
      name: 'kube-system',
      namespace: '',
      uid: UID,
      creationTimestamp: new Date('2023-10-28T09:48:24Z'),
      labels: new Map([['kubernetes.io/metadata.name', 'kube-system']]),
    },
  });
  assert.equal(uidOfNamespace(namespace), UID);
});

test('a custom resource in JSON is read', () => {
  const value = {
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: {
      name: 'w',
      namespace: 'prod',
      uid: UID,
      creationTimestamp: '2026-11-22T05:30:00Z',
      labels: { a: 'b' },
    },
    spec: {},
  };
  const object = readStoredObject(Buffer.from(`${JSON.stringify(value)}\n`));
  assert.ok(object.kind === 'object');
  assert.deepEqual([object.apiVersion, object.objectKind], ['example.com/v1', 'Widget']);
  const expected: ObjectMeta = {
    name: 'w',
    namespace: 'prod',
    uid: UID,
    creationTimestamp: new Date('2026-11-22T05:30:00Z'),
    labels: new Map([['a', 'b']]),
  };
  assert.deepEqual(object.meta, expected);
});

test('absent metadata is empty, in both encodings', () => {
  const empty = { name: '', namespace: '', uid: '', creationTimestamp: undefined, labels: new Map() };
  const json = Buffer.from('{"apiVersion":"v1","kind":"X","metadata":{"creationTimestamp":null}}');
  for (const value of [
    json,
    protobuf('v1', 'X', Buffer.alloc(0)),
    protobuf('v1', 'X', Buffer.from('4200', 'hex')),
  ]) {
    const object = readStoredObject(value);
    assert.ok(object.kind === 'object', JSON.stringify(object));
    assert.deepEqual(object.meta, empty);
  }
});

test('fields of other kinds are passed over', () => {
  const strange = Buffer.concat([
    Buffer.from('a101' + '0102030405060708', 'hex'), // field 20, 8 bytes
    Buffer.from('ad01' + '01020304', 'hex'), // field 21, 4 bytes
    Buffer.from('b001ffffffffffffffffff01', 'hex'), // field 22, -1
    Buffer.from('0a0161', 'hex'),
  ]);
  const object = readStoredObject(protobuf('v1', 'X', strange));
  assert.equal(object.kind === 'object' && object.meta.name, 'a');
});

test('encrypted and foreign values are told apart from objects', () => {
  const encrypted = readStoredObject(Buffer.from('k8s:enc:aesgcm:v1:key1:\x00\x01'));
  assert.deepEqual(encrypted, {
    kind: 'encrypted',
    encryption: { scheme: 'aesgcm', keyName: 'key1', boundToKey: true },
  });
  for (const value of ['', '1234', 'null', '[]']) {
    assert.deepEqual(readStoredObject(Buffer.from(value)), { kind: 'foreign' });
  }
});

test('values that no API server writes are malformed', () => {
  const twice = Buffer.from('0a01610a0162', 'hex');
  const cases: [string, Buffer][] = [
    ['a name twice', protobuf('v1', 'X', twice)],
    ['a label twice', protobuf('v1', 'X', Buffer.from('5a060a01611201625a060a0161120163', 'hex'))],
    ['a name that is a number', protobuf('v1', 'X', Buffer.from('0801', 'hex'))],
    ['a time that is text', protobuf('v1', 'X', Buffer.from('42030a0161', 'hex'))],
    ['a name that is no UTF-8', protobuf('v1', 'X', Buffer.from('0a02ffff', 'hex'))],
    ['a field longer than the message', protobuf('v1', 'X', Buffer.from('0aff01', 'hex'))],
    ['a length of 2^64', protobuf('v1', 'X', Buffer.from('0affffffffffffffffff01', 'hex'))],
    ['a number of eleven bytes', protobuf('v1', 'X', Buffer.from('10ffffffffffffffffffff01', 'hex'))],
    ['field 0', protobuf('v1', 'X', Buffer.from('0200', 'hex'))],
    ['a group', protobuf('v1', 'X', Buffer.from('0b0c', 'hex'))],
    ['broken JSON', Buffer.from('{"apiVersion":')],
    ['JSON without metadata', Buffer.from('{"apiVersion":"v1","kind":"X"}')],
    ['a name that is a number', Buffer.from('{"apiVersion":"v1","kind":"X","metadata":{"name":1}}')],
    ['labels that are a list', Buffer.from('{"apiVersion":"v1","kind":"X","metadata":{"labels":[1]}}')],
    ['JSON that is no UTF-8', Buffer.from('{"a":"\xff"}', 'latin1')],
  ];
  for (const [name, value] of cases) assert.equal(readStoredObject(value).kind, 'malformed', name);
});

test('no bytes make it throw', () => {
  for (let length = 0; length < namespace.length; length++) {
    readStoredObject(namespace.subarray(0, length));
    const changed = Buffer.from(namespace);
    for (const mask of [0x01, 0x80, 0xff]) {
      changed[length] = (namespace[length] ?? 0) ^ mask;
      readStoredObject(changed);
    }
    readStoredObject(Buffer.concat([Buffer.from('k8s\0'), randomBytes(length)]));
  }
  const deep = Buffer.from(`{"metadata":${'['.repeat(500_000)}`);
  assert.equal(readStoredObject(deep).kind, 'malformed');
});

test('only a Namespace with a uid names a cluster', () => {
  const uid = Buffer.from(`2a24${Buffer.from(UID).toString('hex')}`, 'hex');
  const json = (kind: string): Buffer =>
    Buffer.from(JSON.stringify({ apiVersion: 'v1', kind, metadata: { uid: UID } }));
  const cases: [string, Buffer, string | undefined][] = [
    ['protobuf', protobuf('v1', 'Namespace', uid), UID],
    ['JSON', json('Namespace'), UID],
    ['another kind', protobuf('v1', 'Pod', uid), undefined],
    ['another version', protobuf('v2', 'Namespace', uid), undefined],
    ['another kind in JSON', json('Pod'), undefined],
    ['no uid', protobuf('v1', 'Namespace', Buffer.alloc(0)), undefined],
    ['a path for a uid', protobuf('v1', 'Namespace', Buffer.from('2a052e2e2f2e2e', 'hex')), undefined],
    ['encrypted', Buffer.from('k8s:enc:aescbc:v1:k:xx'), undefined],
    ['nothing', Buffer.alloc(0), undefined],
  ];
  for (const [name, value, expected] of cases) assert.equal(uidOfNamespace(value), expected, name);
});

/** runtime.Unknown around an object that has nothing but this metadata; all parts under 128 bytes. */
function protobuf(apiVersion: string, kind: string, meta: Buffer): Buffer {
  const typeMeta = Buffer.concat([field(1, Buffer.from(apiVersion)), field(2, Buffer.from(kind))]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, field(1, meta))]);
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
}
