import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grantedPermissions, rbacObjects } from './granted-permissions.ts';
import { permissionText } from './permission.ts';

const role = (kind: string, namespace: string | undefined, rules: readonly object[]): object => ({
  ...{ kind, metadata: { name: 'operator', namespace }, rules },
});
const binding = (kind: string, namespace: string | undefined, to: string, subject: object): object => ({
  ...{ kind, metadata: { name: 'operator', namespace } },
  ...{ roleRef: { kind: to, name: 'operator' }, subjects: [subject] },
});
const OPERATOR = { kind: 'ServiceAccount', name: 'operator', namespace: 'system' };
const SECRETS = { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list'] };

const texts = (...items: readonly object[]): string[] =>
  grantedPermissions(rbacObjects({ items }), 'system').map(permissionText);

test('each verb, resource and name is a permission, everywhere or in a namespace', () => {
  const rule = {
    apiGroups: ['', 'x.io'],
    resources: ['a', 'b/status'],
    verbs: ['get'],
    resourceNames: ['n'],
  };
  assert.deepEqual(
    texts(
      ...[role('ClusterRole', undefined, [SECRETS]), role('Role', 'system', [rule])],
      binding('ClusterRoleBinding', undefined, 'ClusterRole', OPERATOR),
      binding('RoleBinding', 'system', 'Role', OPERATOR),
    ),
    [
      ...['operator: get secrets everywhere', 'operator: list secrets everywhere'],
      ...['operator: get a n in system', 'operator: get b/status n in system'],
      ...['operator: get a.x.io n in system', 'operator: get b.x.io/status n in system'],
    ],
  );
});

test('a ClusterRole that is bound in a namespace is granted there', () => {
  const bound = binding('RoleBinding', 'team-a', 'ClusterRole', OPERATOR);
  assert.deepEqual(texts(role('ClusterRole', undefined, [SECRETS]), bound), [
    ...['operator: get secrets in team-a', 'operator: list secrets in team-a'],
  ]);
});

test("others' bindings are none of ours", () => {
  const others = [
    { ...OPERATOR, namespace: 'team-a' },
    { kind: 'User', name: 'operator' },
  ];
  for (const other of others) {
    const bound = binding('ClusterRoleBinding', undefined, 'ClusterRole', other);
    assert.deepEqual(texts(role('ClusterRole', undefined, [SECRETS]), bound), []);
  }
});

test('what is granted twice is one permission', () => {
  const bound = binding('ClusterRoleBinding', undefined, 'ClusterRole', OPERATOR);
  assert.equal(texts(role('ClusterRole', undefined, [SECRETS]), bound, bound).length, 2);
});

test('a binding without its role, and a rule of URLs, are errors', () => {
  const bound = binding('ClusterRoleBinding', undefined, 'ClusterRole', OPERATOR);
  assert.throws(() => texts(bound), /no ClusterRole operator/);
  const urls = { nonResourceURLs: ['/metrics'], verbs: ['get'] };
  assert.throws(() => texts(role('ClusterRole', undefined, [urls]), bound), /about URLs/);
});
