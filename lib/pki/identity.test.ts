import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  authorityUri,
  describeIdentity,
  identityUri,
  parseAuthorityUri,
  parseIdentityUri,
} from './identity.ts';
import { agentOf, BREAK_GLASS, CLUSTER, CONTROL_PLANE, SCOPE, WEBHOOK } from './installation.fixture.ts';

const SPELLED = [
  [CONTROL_PLANE, `etcdguardian://${CLUSTER}/control-plane`, 'the control plane'],
  [WEBHOOK, `etcdguardian://${CLUSTER}/webhook`, 'the webhook server'],
  [
    agentOf('node-1.example.com'),
    `etcdguardian://${CLUSTER}/agent/node-1.example.com`,
    'the agent of node-1.example.com',
  ],
  [BREAK_GLASS, `etcdguardian://${CLUSTER}/break-glass/alice`, 'the break-glass identity of alice'],
] as const;

for (const [identity, uri, words] of SPELLED) {
  test(`${words} has one spelling, there and back`, () => {
    assert.equal(identityUri(identity), uri);
    assert.deepEqual(parseIdentityUri(uri), identity);
    assert.equal(describeIdentity(identity), words);
  });
}

const NOBODY = [
  '',
  'spiffe://cluster/agent/node-1',
  'etcdguardian://c/agent',
  'etcdguardian://c/agent/',
  'etcdguardian://c/agent/a/b',
  'etcdguardian://c/agent/..',
  'etcdguardian://c/agent/node_1',
  'etcdguardian://c/agent/Node-1',
  'etcdguardian://c/agent/node-1?x',
  'etcdguardian://c/agent/node-1\n',
  'etcdguardian://c/agent/%6eode-1',
  'etcdguardian://C/agent/node-1',
  'etcdguardian://user@c/agent/node-1',
  'etcdguardian://c:443/agent/node-1',
  'etcdguardian://10.0.0.1/agent/node-1',
  'etcdguardian:///agent/node-1',
  'etcdguardian://c/control-plane/x',
  'etcdguardian://c/webhook/x',
  'etcdguardian://c/break-glass',
  'etcdguardian://c/authority/system',
  'etcdguardian://c/admin',
  `etcdguardian://c/agent/${'a'.repeat(254)}`,
];

for (const uri of NOBODY) {
  test(`${JSON.stringify(uri.slice(0, 60))} names nobody`, () => {
    assert.equal(parseIdentityUri(uri), undefined);
  });
}

test("an authority's name says its cluster and its namespace, and is no identity", () => {
  const uri = authorityUri(SCOPE);
  assert.equal(uri, `etcdguardian://${CLUSTER}/authority/etcd-guardian-system`);
  assert.deepEqual(parseAuthorityUri(uri), SCOPE);
  assert.equal(parseAuthorityUri(`etcdguardian://${CLUSTER}/authority`), undefined);
  assert.equal(parseAuthorityUri(identityUri(CONTROL_PLANE)), undefined);
});

test('names that no certificate can hold are refused before there is one', () => {
  for (const node of ['', 'Node', 'a b', 'a,URI:x', '-a', 'a..b', '10.0.0.1', 'a'.repeat(254)]) {
    assert.throws(() => identityUri(agentOf(node)), { code: 'pki.name' }, node);
    assert.throws(() => identityUri(agentOf('n', node)), { code: 'pki.name' }, node);
  }
});
