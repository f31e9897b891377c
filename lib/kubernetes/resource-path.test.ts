import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { keyOf, splitKey } from './object-key.ts';
import { collectionPath, objectPath, queryText, resourceName } from './resource-path.ts';

const pods = { group: '', version: 'v1', plural: 'pods' };
const backups = { group: 'etcdguardian.io', version: 'v1alpha1', plural: 'etcdbackups' };

test('paths of collections, objects and subresources are the API’s', () => {
  assert.equal(collectionPath(pods), '/api/v1/pods');
  assert.equal(
    collectionPath(backups, 'team-a'),
    '/apis/etcdguardian.io/v1alpha1/namespaces/team-a/etcdbackups',
  );
  assert.equal(
    objectPath({ resource: pods, namespace: 'a', name: 'b', subresource: 'status' }),
    '/api/v1/namespaces/a/pods/b/status',
  );
  assert.equal(
    objectPath({
      resource: { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterroles' },
      name: 'system:x y',
    }),
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Ax%20y',
  );
  assert.equal(resourceName(backups), 'etcdbackups.etcdguardian.io');
  assert.equal(
    queryText({ limit: 5, continue: undefined, labelSelector: 'a=b' }),
    '?limit=5&labelSelector=a%3Db',
  );
  assert.equal(queryText({ continue: undefined }), '');
});

test('a name that would lead elsewhere is refused', () => {
  for (const name of ['', '.', '..', 'a/b', '../secrets', 'a%2Fb'])
    assert.throws(
      () => objectPath({ resource: pods, namespace: 'a', name }),
      (error) => hasCode(error, 'kubernetes.invalid'),
      name,
    );
  assert.throws(() => collectionPath(pods, '..'), /can't be a name/);
});

test('keys split into what they were made from', () => {
  assert.equal(keyOf({ metadata: { name: 'b', namespace: 'a' } }), 'a/b');
  assert.equal(keyOf({ metadata: { name: 'b' } }), 'b');
  assert.deepEqual(splitKey('a/b'), { namespace: 'a', name: 'b' });
  assert.deepEqual(splitKey('b'), { namespace: undefined, name: 'b' });
});
