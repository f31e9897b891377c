import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import {
  createSigner,
  createVerifier,
  generateSigningKey,
  signingKeyFromSeed,
  signingKeyId,
} from './signing-key.ts';

// RFC 8032, section 7.1, TEST 2.
const seed = Buffer.from('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', 'hex');
const message = Buffer.from('72', 'hex');
const signature = Buffer.from(
  '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  'hex',
);

test('a seed gives the key pair and the signature of RFC 8032', () => {
  const key = signingKeyFromSeed(seed);
  const x = createPublicKey(key).export({ format: 'jwk' }).x ?? '';
  assert.equal(
    Buffer.from(x, 'base64url').toString('hex'),
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  );
  assert.deepEqual(createSigner(key).sign(message), signature);
});

test('a key id is ed25519: and 16 hex digits, the same for signer and verifier', () => {
  const key = generateSigningKey();
  const id = createSigner(key).keyId;
  assert.match(id, /^ed25519:[0-9a-f]{16}$/);
  assert.deepEqual(createVerifier([createPublicKey(key)]).keyIds, [id]);
  assert.equal(signingKeyId(createPublicKey(key)), id);
});

test('a verifier accepts only a trusted key, its own id, these bytes and this signature', () => {
  const signer = createSigner(signingKeyFromSeed(seed));
  const other = generateSigningKey();
  const verifier = createVerifier([createPublicKey(signingKeyFromSeed(seed)), createPublicKey(other)]);
  const otherId = createSigner(other).keyId;
  const cases: [string, boolean, Uint8Array, string, Uint8Array][] = [
    ['as signed', true, message, signer.keyId, signature],
    ['another message', false, Buffer.from('73', 'hex'), signer.keyId, signature],
    ['the id of another trusted key', false, message, otherId, signature],
    ['an unknown id', false, message, 'ed25519:0000000000000000', signature],
    ['a signature cut short', false, message, signer.keyId, signature.subarray(0, 63)],
    ['an empty signature', false, message, signer.keyId, Buffer.alloc(0)],
  ];
  for (const [name, expected, bytes, id, sig] of cases) {
    assert.equal(verifier.verify(bytes, id, sig), expected, name);
  }
});

test('a key of another kind is refused as a signing key', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.throws(() => createSigner(privateKey), { code: 'keys.malformed' });
  assert.throws(() => createVerifier([publicKey]), { code: 'keys.malformed' });
});
