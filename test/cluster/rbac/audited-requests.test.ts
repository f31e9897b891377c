import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AuditedRequests, auditedRequests } from './audited-requests.ts';

const OPERATOR = { username: 'system:serviceaccount:system:operator', groups: ['system:authenticated'] };
const event = {
  ...{ requestURI: '/api/v1/namespaces/system/secrets/one', verb: 'get', user: OPERATOR },
  objectRef: { resource: 'secrets', namespace: 'system', name: 'one', apiVersion: 'v1' },
  responseStatus: { metadata: {}, code: 200 },
  annotations: { 'authorization.k8s.io/decision': 'allow' },
};
const forbidden = {
  responseStatus: { code: 403, message: 'no' },
  annotations: { 'authorization.k8s.io/decision': 'forbid' },
};
const read = (...events: readonly object[]): AuditedRequests =>
  auditedRequests(events.map((one) => `${JSON.stringify(one)}\n`).join(''), 'system');
const account = 'system/operator';
const used = { account, verb: 'get', group: '', resource: 'secrets', name: 'one', namespace: 'system' };

test('a request is a use of what it asks for', () => {
  assert.deepEqual(read(event), { uses: [used], denied: [] });
  const objectRef = { apiGroup: 'x.io', resource: 'backups', subresource: 'status', name: 'one' };
  assert.deepEqual(read({ ...event, objectRef }).uses, [
    { ...used, group: 'x.io', resource: 'backups/status', namespace: undefined },
  ]);
});

test('a Namespace lies in no namespace', () => {
  const objectRef = { resource: 'namespaces', namespace: 'team-a', name: 'team-a' };
  assert.deepEqual(read({ ...event, objectRef }).uses, [
    { ...used, resource: 'namespaces', name: 'team-a', namespace: undefined },
  ]);
});

test('what is created has no name yet when RBAC is asked', () => {
  assert.deepEqual(read({ ...event, verb: 'create' }).uses, [{ ...used, verb: 'create', name: undefined }]);
});

test('whatever others ask for, and URLs that are no resource, are not counted', () => {
  const other = { username: 'system:serviceaccount:team-a:operator' };
  const url = { ...event, requestURI: '/apis', objectRef: undefined };
  assert.deepEqual(read({ ...event, user: other }, url), { uses: [], denied: [] });
});

test('what RBAC refuses is told, what admission refuses is a use', () => {
  assert.deepEqual(read({ ...event, ...forbidden }), {
    uses: [],
    denied: ['system/operator: get /api/v1/namespaces/system/secrets/one: no'],
  });
  assert.deepEqual(read({ ...event, responseStatus: forbidden.responseStatus }), {
    uses: [used],
    denied: [],
  });
});

test('a request as another is a use of the right to be that other, whatever the answer', () => {
  const impersonatedUser = {
    ...{ username: 'tina', uid: 'u', groups: ['team-a', 'system:authenticated'] },
    extra: { 'x.io/scopes': ['read', 'write'] },
  };
  const uses = [
    ['', 'users', 'tina'],
    ['', 'groups', 'team-a'],
    ['authentication.k8s.io', 'uids', 'u'],
    ['authentication.k8s.io', 'userextras/x.io/scopes', 'read'],
    ['authentication.k8s.io', 'userextras/x.io/scopes', 'write'],
  ].map(([group, resource, name]) => ({
    ...{ account, verb: 'impersonate', group, resource, name, namespace: undefined },
  }));
  assert.deepEqual(read({ ...event, impersonatedUser }), { uses, denied: [] });
  assert.deepEqual(read({ ...event, ...forbidden, impersonatedUser }), { uses, denied: [] });
});

test('a service account is impersonated in its namespace', () => {
  const impersonatedUser = { username: 'system:serviceaccount:team-a:robot', groups: [] };
  assert.deepEqual(read({ ...event, impersonatedUser }).uses, [
    { ...used, verb: 'impersonate', resource: 'serviceaccounts', name: 'robot', namespace: 'team-a' },
  ]);
});

test('a refusal to be another is a refusal', () => {
  const refused = { ...event, responseStatus: forbidden.responseStatus, annotations: undefined };
  assert.equal(read(refused).denied.length, 1);
});
