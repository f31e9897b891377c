import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { AUTHORITY_LIFE_MS, BACKDATED_MS, parseAuthority, scopeOfAuthority } from './authority.ts';
import { type PeerIdentity, ROLES } from './identity.ts';
import {
  agentOf,
  BREAK_GLASS,
  CLUSTER,
  CONTROL_PLANE,
  DAY_MS,
  later,
  newAuthority,
  NOW,
  SCOPE,
  WEBHOOK,
} from './installation.fixture.ts';
import { type CertificateOrder, issueCertificate } from './issue-certificate.ts';
import { createKey, parsePrivateKey, privateKeyPem } from './key-pair.ts';
import { peerIdentity } from './peer-identity.ts';
import { dnsNames } from './subject-alternative-names.ts';
import { USAGE_OIDS } from './verify-certificate.ts';

const authority = await newAuthority(NOW);
const key = await createKey();
const publicKey = createPublicKey(key);
const issue = (order: Partial<CertificateOrder>): X509Certificate =>
  issueCertificate(authority, { identity: agentOf('node-1'), publicKey, now: NOW, ...order });

test('an authority signs itself, for ten years, and says for which cluster and namespace', () => {
  const { certificate } = authority;
  assert.equal(certificate.ca, true);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.ok(certificate.checkPrivateKey(authority.key));
  assert.deepEqual(scopeOfAuthority(certificate), SCOPE);
  assert.equal(certificate.validToDate.getTime(), NOW.getTime() + AUTHORITY_LIFE_MS);
  assert.match(certificate.subject, /^O=EtcdGuardian\nCN=EtcdGuardian CA [0-9a-f]{16}$/);
});

test('an authority is read back from PEM only with its own key', async () => {
  const certificate = { pem: authority.certificate.toString(), source: 'ca.crt' };
  const read = parseAuthority(certificate, { pem: privateKeyPem(authority.key), source: 'ca.key' });
  assert.deepEqual(read.scope, authority.scope);
  assert.throws(() => parseAuthority(certificate, { pem: privateKeyPem(key), source: 'ca.key' }), {
    code: 'pki.authority',
    message: 'ca.crt does not belong to the private key in ca.key',
  });
  const leaf = { pem: issue({}).toString(), source: 'leaf.crt' };
  assert.throws(() => parseAuthority(leaf, { pem: privateKeyPem(key), source: 'leaf.key' }), {
    code: 'pki.authority',
    message: /^leaf\.crt is the certificate of someone who can't issue any/,
  });
  const stranger = await newAuthority(NOW);
  assert.notEqual(stranger.certificate.subject, authority.certificate.subject);
});

const IDENTITIES: readonly PeerIdentity[] = [agentOf('node-1'), CONTROL_PLANE, WEBHOOK, BREAK_GLASS];

for (const identity of IDENTITIES) {
  test(`a certificate of role ${identity.role} names its holder, its ends of connections and its days`, () => {
    const certificate = issue({ identity });
    const { uses, lifeMs } = ROLES[identity.role];
    assert.deepEqual(peerIdentity(certificate), identity);
    assert.deepEqual(
      certificate.keyUsage,
      uses.map((use) => USAGE_OIDS[use]),
    );
    assert.equal(certificate.ca, false);
    assert.equal(certificate.validFromDate.getTime(), NOW.getTime() - BACKDATED_MS);
    assert.equal(certificate.validToDate.getTime(), NOW.getTime() + lifeMs);
    assert.ok(certificate.checkPrivateKey(key));
    assert.ok(certificate.checkIssued(authority.certificate));
  });
}

test("an agent's certificate lives for a week, or less when asked, and never longer than its authority", () => {
  assert.equal(ROLES.agent.lifeMs, 7 * DAY_MS);
  assert.equal(issue({ lifeMs: DAY_MS }).validToDate.getTime(), NOW.getTime() + DAY_MS);
  const lastDay = later(NOW, AUTHORITY_LIFE_MS - DAY_MS);
  assert.deepEqual(issue({ now: lastDay }).validToDate, authority.certificate.validToDate);
});

test('times beyond 2049 are written as X.509 wants them', async () => {
  const late = new Date('2049-12-30T00:00:00Z');
  const certificate = issueCertificate(await newAuthority(late), {
    identity: BREAK_GLASS,
    publicKey,
    now: late,
  });
  assert.equal(certificate.validFromDate.getUTCFullYear(), 2049);
  assert.equal(certificate.validToDate.toISOString(), '2050-12-30T00:00:00.000Z');
});

test('a server has the DNS names of its Service', () => {
  const names = ['etcdguardian-webhook.etcd-guardian-system.svc'];
  const certificate = issue({ identity: WEBHOOK, dnsNames: names });
  assert.deepEqual(dnsNames(certificate), names);
  assert.equal(certificate.checkHost(names[0] ?? ''), names[0]);
  assert.equal(certificate.checkHost('etcdguardian-webhook'), undefined);
});

const REFUSED: readonly { what: string; order: Partial<CertificateOrder>; code: string }[] = [
  { what: 'another cluster', order: { identity: agentOf('node-1', 'other') }, code: 'pki.order' },
  { what: 'a longer life than the role has', order: { lifeMs: 8 * DAY_MS }, code: 'pki.order' },
  { what: 'no life', order: { lifeMs: 0 }, code: 'pki.order' },
  { what: 'a Service elsewhere', order: { dnsNames: ['kubernetes.default.svc'] }, code: 'pki.order' },
  { what: 'any host', order: { dnsNames: ['example.com'] }, code: 'pki.order' },
  { what: 'a wildcard', order: { dnsNames: ['*.etcd-guardian-system.svc'] }, code: 'pki.order' },
  { what: 'a malformed node', order: { identity: agentOf('node,1') }, code: 'pki.name' },
  {
    what: 'an RSA key',
    order: { publicKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey },
    code: 'pki.key',
  },
  {
    what: 'another curve',
    order: { publicKey: generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).publicKey },
    code: 'pki.key',
  },
];

for (const { what, order, code } of REFUSED) {
  test(`a certificate for ${what} is refused`, () => {
    assert.throws(() => issue(order), { code });
  });
}

test('an authority whose time is over issues nothing', () => {
  assert.throws(() => issue({ now: later(NOW, AUTHORITY_LIFE_MS + 1_000) }), { code: 'pki.expired' });
});

test('no two certificates have the same serial number, and all are positive and of full length', () => {
  const serials = Array.from({ length: 50 }, () => issue({}).serialNumber);
  assert.equal(new Set(serials).size, serials.length);
  for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
});

test('a private key comes back from its PEM; others are refused by name', () => {
  assert.ok(parsePrivateKey(privateKeyPem(key), 'tls.key').equals(key));
  const encrypted = key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const others = ['', 'garbage', encrypted, rsa.export({ type: 'pkcs8', format: 'pem' })];
  for (const pem of others) {
    assert.throws(() => parsePrivateKey(pem, 'tls.key of node-1'), {
      code: 'pki.key',
      message: /tls\.key of node-1/,
    });
  }
});

test('the cluster of a certificate is the one of its authority', () => {
  assert.equal(peerIdentity(issue({})).cluster, CLUSTER);
});
