import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import forge from 'node-forge';
import { createCertificateRequest, requestedKey } from './certificate-request.ts';
import * as der from './der.ts';
import { agentOf, CONTROL_PLANE, newAuthority } from './installation.fixture.ts';
import { identityUri } from './identity.ts';
import { issueCertificate } from './issue-certificate.ts';
import { createKey, publicKeyInfo } from './key-pair.ts';
import { peerIdentity } from './peer-identity.ts';
import { distinguishedName, signed } from './sign-certificate.ts';

const key = await createKey();

function pem(bytes: Uint8Array, label = 'CERTIFICATE REQUEST'): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString('base64')}\n-----END ${label}-----\n`;
}

/** A request as somebody else would make it, who claims to be the control plane. */
function ambitious(options: { holder?: KeyObject; signer?: KeyObject } = {}): Buffer {
  const { holder = key, signer = holder } = options;
  const name = der.sequence(der.taggedBytes(6, Buffer.from(identityUri(CONTROL_PLANE))));
  const names = der.sequence(der.oid('2.5.29.17'), der.octets(der.encode(name)));
  const extensions = der.sequence(der.oid('1.2.840.113549.1.9.14'), der.set(der.sequence(names)));
  const body = der.sequence(
    der.integer(0),
    distinguishedName('system:masters'),
    der.embedded(publicKeyInfo(holder)),
    der.tagged(0, extensions),
  );
  return der.encode(signed(body, signer));
}

test('a request gives the key that its sender holds', () => {
  const request = createCertificateRequest(key);
  assert.match(
    request,
    /^-----BEGIN CERTIFICATE REQUEST-----\n([\w+/=]{1,64}\n)+-----END CERTIFICATE REQUEST-----\n$/,
  );
  assert.ok(requestedKey(request).equals(createPublicKey(key)));
  assert.ok(requestedKey(request.replaceAll('\n', '\r\n')).equals(createPublicKey(key)));
});

test('names that a request claims are ignored', async () => {
  const publicKey = requestedKey(pem(ambitious()));
  const certificate = issueCertificate(await newAuthority(), {
    identity: agentOf('node-1'),
    publicKey,
    now: new Date(),
  });
  assert.deepEqual(peerIdentity(certificate), agentOf('node-1'));
  assert.doesNotMatch(certificate.toString() + certificate.subject, /control-plane|system:masters/);
});

test("somebody else's public key is refused", async () => {
  const stranger = await createKey();
  assert.throws(() => requestedKey(pem(ambitious({ signer: stranger }))), {
    code: 'pki.request',
    message: /does not hold the private key/,
  });
});

test('keys of other kinds are refused', () => {
  const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
  assert.throws(() => requestedKey(pem(ambitious({ holder: p384 }))), { code: 'pki.key' });
  const pair = forge.pki.rsa.generateKeyPair(1024);
  const rsa = forge.pki.createCertificationRequest();
  rsa.publicKey = pair.publicKey;
  rsa.setSubject([{ name: 'commonName', value: 'x' }]);
  rsa.sign(pair.privateKey, forge.md.sha256.create());
  assert.throws(() => requestedKey(forge.pki.certificationRequestToPem(rsa)), { code: 'pki.request' });
});

test('every changed byte of a request is noticed', () => {
  const good = ambitious();
  for (let at = 0; at < good.length; at += 1) {
    const bad = Buffer.from(good);
    bad.writeUInt8(bad.readUInt8(at) ^ 0x41, at);
    assert.throws(() => requestedKey(pem(bad)), { name: 'GuardianError' }, `byte ${at}`);
  }
});

test('every cut of a request is noticed, and so are bytes behind it', () => {
  const good = ambitious();
  for (let length = 0; length < good.length; length += 1)
    assert.throws(
      () => requestedKey(pem(good.subarray(0, length))),
      { code: 'pki.request' },
      `${length} bytes`,
    );
  assert.throws(() => requestedKey(pem(Buffer.concat([good, Buffer.of(0)]))), { code: 'pki.request' });
});

const deep = Buffer.concat(Array.from({ length: 1_500 }, () => Buffer.of(0x30, 0x80)));
const GARBAGE: readonly (readonly [what: string, text: string])[] = [
  ['nothing', ''],
  ['a text', 'let me in'],
  ['a certificate', pem(ambitious(), 'CERTIFICATE')],
  ['two requests', createCertificateRequest(key).repeat(2)],
  ['an empty sequence', pem(Buffer.of(0x30, 0))],
  ['a number', pem(Buffer.of(2, 1, 5))],
  ['thousands of levels', pem(deep)],
  ['a length beyond everything', pem(Buffer.from('3084ffffffff', 'hex'))],
  ['megabytes', `-----BEGIN CERTIFICATE REQUEST-----\n${'A'.repeat(2 ** 22)}`],
];

for (const [what, text] of GARBAGE) {
  test(`${what} is no request`, () => {
    assert.throws(() => requestedKey(text), { code: 'pki.request' });
  });
}
