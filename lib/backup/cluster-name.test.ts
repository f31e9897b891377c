import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RangeResult } from '../etcd/client/etcd-client.ts';
import { GuardianError } from '../guardian-error.ts';
import { clusterName } from './cluster-name.ts';

const UID = '6f2d1f0e-8a54-4c39-9a5e-2f1f6f0c7b11';

/** A double of etcd: what it holds under one key is the input here. */
function etcdWith(value: string | undefined): Parameters<typeof clusterName>[0] {
  const header = { clusterId: 1n, memberId: 1n, revision: 9n, raftTerm: 1n };
  const kv = { createRevision: 2n, modRevision: 2n, version: 1n, lease: 0n };
  return {
    range: (key): Promise<RangeResult> => {
      assert.equal(key, '/registry/namespaces/kube-system');
      const kvs = value === undefined ? [] : [{ ...kv, key: Buffer.from(key), value: Buffer.from(value) }];
      return Promise.resolve({ header, kvs, more: false, count: BigInt(kvs.length) });
    },
  };
}

test('a cluster is named as was said, without a look, or by the uid of kube-system', async () => {
  const untouched = { range: () => Promise.reject(new Error('it was asked')) };
  assert.equal(await clusterName(untouched, 'prod'), 'prod');
  const namespace = { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'kube-system', uid: UID } };
  assert.equal(await clusterName(etcdWith(JSON.stringify(namespace)), undefined), UID);
});

const NAMELESS: readonly (readonly [string, string | undefined, RegExp])[] = [
  ['an etcd of no Kubernetes', undefined, /holds no \/registry\/namespaces\/kube-system/],
  ['namespaces encrypted at rest', 'k8s:enc:kms:v2:vault:sealed', /can't be read \(encrypted at rest\?\)/],
  ['bytes of nobody', 'hello', /can't be read/],
];

for (const [what, value, told] of NAMELESS) {
  test(`${what} has to be named, and how is said`, async () => {
    await assert.rejects(clusterName(etcdWith(value), undefined), {
      ...{ code: 'backup.cluster-name', message: told, hint: /--cluster/ },
    });
  });
}

test('what etcd refuses comes through', async () => {
  const denied = new GuardianError('etcd.permission-denied', 'no right');
  await assert.rejects(clusterName({ range: () => Promise.reject(denied) }, undefined), denied);
});
