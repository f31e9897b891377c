import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { readStoredObject } from './object-meta.ts';
import { objectTies } from './object-ties.ts';
import { bytesField } from './protobuf-edit.ts';
import { wireFields } from './protobuf-fields.ts';
import { rewriteObject } from './rewrite-object.ts';

const text = (number: number, value: string): Buffer => bytesField(number, Buffer.from(value));
const entry = (number: number, key: string, value: string): Buffer =>
  bytesField(number, Buffer.concat([text(1, key), text(2, value)]));
const message = (number: number, ...fields: readonly Buffer[]): Buffer =>
  bytesField(number, Buffer.concat(fields));

/** runtime.Unknown as kube-apiserver writes it. */
function stored(
  apiVersion: string,
  kind: string,
  meta: readonly Buffer[],
  ...rest: readonly Buffer[]
): Buffer {
  const type = message(1, text(1, apiVersion), text(2, kind));
  const raw = message(2, message(1, ...meta), ...rest);
  return Buffer.concat([Buffer.from('k8s\0'), type, raw, text(3, ''), text(4, '')]);
}

const META = [
  ...[text(1, 'web'), text(2, 'web-'), text(3, 'prod'), text(4, '/self'), text(5, 'old-uid'), text(6, '77')],
  ...[
    Buffer.from('3802', 'hex'),
    message(8, Buffer.from('0801', 'hex')),
    message(9, Buffer.from('0801', 'hex')),
  ],
  ...[entry(11, 'app', 'web'), entry(12, 'note', 'kept'), text(14, 'orphan'), text(14, 'example.com/mine')],
  message(13, text(1, 'Widget'), text(3, 'owner'), text(4, 'uid-of-owner'), Buffer.from('3001', 'hex')),
  message(17, text(1, 'kubectl')),
];

const REWRITING = { directory: 'services/specs', annotations: { mark: 'r1' } };

test('a stored Service is sent without what its cluster gave it, and with everything else', () => {
  const port = message(1, text(1, 'http'), Buffer.from('1850', 'hex'), Buffer.from('28b0ea01', 'hex'));
  const spec = message(
    2,
    port,
    text(3, '10.96.0.7'),
    text(4, 'ClusterIP'),
    text(18, '10.96.0.7'),
    text(99, 'new'),
  );
  const { contentType, body } = rewriteObject(
    stored('v1', 'Service', META, spec, text(3, 'status')),
    REWRITING,
  );
  assert.equal(contentType, 'application/vnd.kubernetes.protobuf');
  const meta = [text(1, 'web'), text(3, 'prod'), entry(11, 'app', 'web'), entry(12, 'note', 'kept')];
  const expected = stored(
    'v1',
    'Service',
    [...meta, text(14, 'example.com/mine'), entry(12, 'mark', 'r1')],
    message(
      2,
      message(1, text(1, 'http'), Buffer.from('1850', 'hex')),
      text(4, 'ClusterIP'),
      text(99, 'new'),
    ),
    text(3, 'status'),
  );
  assert.deepEqual(body, expected);
});

test('a headless Service stays one, and a resource version is given on demand', () => {
  const spec = message(2, text(3, 'None'), text(18, 'None'));
  const { body } = rewriteObject(stored('v1', 'Service', [text(1, 'a')], spec), {
    ...REWRITING,
    resourceVersion: '9',
  });
  const meta = [text(1, 'a'), entry(12, 'mark', 'r1'), text(6, '9')];
  assert.deepEqual(body, stored('v1', 'Service', meta, spec));
});

test('the selector of a Job goes with its labels, but not where its author chose it', () => {
  const template = message(6, message(1, entry(11, 'controller-uid', 'x'), entry(11, 'app', 'a')));
  const job = (manual: string): Buffer =>
    stored(
      'batch/v1',
      'Job',
      [text(1, 'a')],
      message(2, text(4, 'selector'), Buffer.from(`28${manual}`, 'hex'), template),
    );
  const rewritten = (manual: string): Buffer =>
    rewriteObject(job(manual), { directory: 'jobs', annotations: {} }).body;
  assert.deepEqual(rewritten('01'), job('01'));
  const cleared = message(2, Buffer.from('2800', 'hex'), message(6, message(1, entry(11, 'app', 'a'))));
  assert.deepEqual(rewritten('00'), stored('batch/v1', 'Job', [text(1, 'a')], cleared));
  const isSame = rewriteObject(job('00'), { directory: 'jobs', annotations: {}, isSame: true });
  assert.deepEqual(isSame.body, job('00'));
});

test('JSON is cleared alike, and keeps its digits', () => {
  const value = `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","namespace":"prod","uid":"u","resourceVersion":"3",
    "generation":4,"creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[{}],"ownerReferences":[{"uid":"x"}],"finalizers":["orphan","a/b"],
    "annotations":{"mark":"old","note":"kept"}},"spec":{"big":9007199254740993,"exact":1.0,"small":1e-7,"__proto__":{"a":1}},"status":{"x":1}}`;
  const { contentType, body } = rewriteObject(Buffer.from(value), {
    directory: 'example.com/widgets',
    annotations: { mark: 'new' },
  });
  assert.equal(contentType, 'application/json');
  const written = body.toString();
  for (const kept of [
    '"big":9007199254740993',
    '"exact":1.0',
    '"small":1e-7',
    '"__proto__":{"a":1}',
    '"status":{"x":1}',
  ])
    assert.ok(written.includes(kept), written);
  assert.deepEqual((JSON.parse(written) as { metadata: object }).metadata, {
    ...{ name: 'w', namespace: 'prod', finalizers: ['a/b'], annotations: { mark: 'new', note: 'kept' } },
  });
  const service = {
    metadata: { name: 'a' },
    spec: { clusterIP: '1', ports: [{ port: 80, nodePort: 30000 }], clusterIPs: ['None'] },
  };
  const { body: ofService } = rewriteObject(Buffer.from(JSON.stringify(service)), {
    ...REWRITING,
    annotations: {},
  });
  assert.deepEqual((JSON.parse(ofService.toString()) as typeof service).spec, {
    ports: [{ port: 80 }],
    clusterIPs: ['None'],
  });
});

test('what ties an object to others is read in both encodings', () => {
  const owner = { apiVersion: '', kind: 'Widget', name: 'owner', uid: 'uid-of-owner' };
  const expected = {
    owners: [{ ...owner, controller: true, blockOwnerDeletion: false }],
    isBeingDeleted: true,
  };
  assert.deepEqual(objectTies(stored('v1', 'X', META)), expected);
  const json = { metadata: { deletionTimestamp: 'now', ownerReferences: [{ ...owner, controller: true }] } };
  assert.deepEqual(objectTies(Buffer.from(JSON.stringify(json))), expected);
});

test('damaged bytes end in an error or a value, never in anything else', () => {
  const whole = stored('v1', 'Service', META, message(2, text(3, '10.96.0.7')));
  for (let at = 4; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at] = (whole[at] ?? 0) ^ 0xff;
    for (const bytes of [
      changed,
      whole.subarray(0, at),
      Buffer.concat([whole.subarray(0, at), randomBytes(20)]),
    ]) {
      try {
        readStoredObject(rewriteObject(bytes, REWRITING).body);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }
  }
  const deep = Buffer.from(`{"metadata":{},"x":${'['.repeat(501)}${']'.repeat(501)}}`);
  assert.throws(() => rewriteObject(deep, REWRITING), /nests deeper/);
  assert.equal([...wireFields(Buffer.alloc(0))].length, 0);
});
