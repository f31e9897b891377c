import assert from 'node:assert/strict';
import { createPublicKey, type X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { AUTHORITY_LIFE_MS, BACKDATED_MS } from './authority.ts';
import { commonNameOf, type ForgedCertificate, forgedCertificate } from './forged-certificate.fixture.ts';
import { authorityUri, identityUri } from './identity.ts';
import {
  agentOf,
  BREAK_GLASS,
  credentialsFor,
  DAY_MS,
  later,
  newAuthority,
  NOW,
  WEBHOOK,
} from './installation.fixture.ts';
import { issueCertificate } from './issue-certificate.ts';
import { createKey } from './key-pair.ts';
import { requirePeer } from './peer-identity.ts';
import { type Trust, verifyCertificate } from './verify-certificate.ts';

const authority = await newAuthority(NOW);
const key = await createKey();
const node1 = issueCertificate(authority, {
  identity: agentOf('node-1'),
  publicKey: createPublicKey(key),
  now: NOW,
});
const trust: Trust = { authorities: [authority.certificate], now: NOW, usage: 'client' };

test('a good certificate leads to the authority that issued it, among several', async () => {
  const authorities = [(await newAuthority(NOW)).certificate, authority.certificate];
  for (const usage of ['client', 'server'] as const)
    assert.equal(verifyCertificate(node1, { ...trust, authorities, usage }), authority.certificate);
});

test('a clock that is two hours behind, or shows the last second, is no reason to refuse', () => {
  verifyCertificate(node1, { ...trust, now: later(NOW, -BACKDATED_MS) });
  verifyCertificate(node1, { ...trust, now: later(NOW, 7 * DAY_MS) });
});

const BAD_TIMES = [
  {
    now: later(NOW, 7 * DAY_MS + 1),
    code: 'pki.expired',
    says: /ended at 2026-11-29T08:00:00\.000Z.* clock says 2026-11-29/,
  },
  {
    now: later(NOW, -BACKDATED_MS - 1),
    code: 'pki.not-yet-valid',
    says: /valid from 2026-11-22T06:00:00\.000Z.* clock says/,
  },
  { now: later(NOW, AUTHORITY_LIFE_MS + 1), code: 'pki.expired', says: /the authority/ },
];

for (const { now, code, says } of BAD_TIMES) {
  test(`at ${now.toISOString()} it is ${code}`, () => {
    assert.throws(() => verifyCertificate(node1, { ...trust, now }), { code, message: says });
  });
}

/** With our own authority's signature. */
function forged(names: Pick<ForgedCertificate, 'uris' | 'usages'>): X509Certificate {
  return forgedCertificate({ key, now: NOW, issuer: authority, ...names });
}

test('another authority, also one of the same name, and no authority at all are not trusted', async () => {
  const other = await newAuthority(NOW);
  const namesake = forgedCertificate({
    key: await createKey(),
    subject: commonNameOf(authority.certificate),
    uris: [authorityUri(authority.scope)],
    isAuthority: true,
    now: NOW,
  });
  assert.equal(namesake.subject, authority.certificate.subject);
  for (const authorities of [[other.certificate], [namesake], []])
    assert.throws(() => verifyCertificate(node1, { ...trust, authorities }), { code: 'pki.untrusted' });
});

test("an authority's certificate is no peer's, and a leaf is no authority, whoever trusts it", () => {
  assert.throws(() => verifyCertificate(authority.certificate, trust), { code: 'pki.not-a-leaf' });
  const byNode1 = forgedCertificate({
    key,
    now: NOW,
    uris: [identityUri(agentOf('node-2'))],
    issuer: { certificate: node1, key },
  });
  assert.ok(byNode1.verify(node1.publicKey));
  for (const authorities of [[authority.certificate], [node1, authority.certificate]])
    assert.throws(() => verifyCertificate(byNode1, { ...trust, authorities }), { code: 'pki.untrusted' });
});

test('the ends of connections are those of the role', async () => {
  const webhook = await credentialsFor(authority, WEBHOOK, { now: NOW });
  const alice = await credentialsFor(authority, BREAK_GLASS, { now: NOW });
  assert.throws(() => verifyCertificate(webhook.certificate, trust), { code: 'pki.usage' });
  assert.throws(() => verifyCertificate(alice.certificate, { ...trust, usage: 'server' }), {
    code: 'pki.usage',
  });
});

test('a certificate that limits its usage to nothing in particular, or to mail, is for nothing here', () => {
  for (const usages of [[], ['1.3.6.1.5.5.7.3.4'], ['2.5.29.37.0']])
    assert.throws(
      () => verifyCertificate(forged({ usages, uris: [identityUri(agentOf('node-1'))] }), trust),
      {
        code: 'pki.usage',
      },
    );
});

const NAMES: readonly { uris: readonly string[]; code: string }[] = [
  { uris: [], code: 'pki.peer' },
  { uris: ['spiffe://cluster/agent'], code: 'pki.peer' },
  { uris: [identityUri(agentOf('node-1')), identityUri(agentOf('node-2'))], code: 'pki.peer' },
  { uris: ['etcdguardian://x/agent/a, URI:etcdguardian://x/control-plane'], code: 'pki.peer' },
  { uris: ['etcdguardian://x/agent/a\0.b'], code: 'pki.peer' },
  { uris: [authorityUri(authority.scope)], code: 'pki.peer' },
  { uris: [identityUri(agentOf('node-1', 'other-cluster'))], code: 'pki.cluster' },
];

for (const { uris, code } of NAMES) {
  test(`names ${JSON.stringify(uris)} are ${code}, also with our own signature`, () => {
    assert.throws(() => verifyCertificate(forged({ uris }), trust), { code });
  });
}

test('who comes instead of the one expected is said', () => {
  const expected = { cluster: authority.scope.cluster, roles: ['agent'], node: 'node-1' } as const;
  requirePeer(agentOf('node-1'), expected);
  const others = [
    {
      who: agentOf('node-2'),
      code: 'pki.node',
      message: 'the agent of node-2 answers where the agent of node-1 should',
    },
    { who: WEBHOOK, code: 'pki.role', message: 'the webhook server is not welcome here, only agent' },
    {
      who: agentOf('node-1', 'other'),
      code: 'pki.cluster',
      message: /the agent of node-1 is of cluster other, not/,
    },
  ];
  for (const { who, code, message } of others) {
    assert.throws(
      () => {
        requirePeer(who, expected);
      },
      { code, message },
    );
  }
});
