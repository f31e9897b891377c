import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';
import type { SignatureVerifier, Signer } from './object-encryption.ts';

/** A signer for an Ed25519 private key. */
export function createSigner(privateKey: KeyObject): Signer {
  requireEd25519(privateKey);
  const keyId = signingKeyId(createPublicKey(privateKey));
  return { keyId, sign: (message) => sign(null, message, privateKey) };
}

/** A verifier that trusts exactly these Ed25519 public keys. */
export function createVerifier(publicKeys: readonly KeyObject[]): SignatureVerifier {
  const trusted = new Map(publicKeys.map((key) => [signingKeyId(key), key]));
  return {
    keyIds: [...trusted.keys()],
    verify: (message, keyId, signature) => {
      const key = trusted.get(keyId);
      return key !== undefined && verify(null, message, key, signature);
    },
  };
}

/** `ed25519:` and the first 16 hex digits of SHA-256 of the public key's SPKI DER. */
export function signingKeyId(publicKey: KeyObject): string {
  requireEd25519(publicKey);
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return `ed25519:${createHash('sha256').update(spki).digest('hex').slice(0, 16)}`;
}

export function generateSigningKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

/** The Ed25519 private key whose RFC 8032 seed these 32 bytes are. */
export function signingKeyFromSeed(seed: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_ED25519_PREFIX, seed]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

/** RFC 8410: version 0, algorithm 1.3.101.112, an octet string holding the 32-byte seed as an octet string. */
const PKCS8_ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

function requireEd25519(key: KeyObject): void {
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new GuardianError(
      'keys.malformed',
      `a signing key must be Ed25519, this one is ${key.asymmetricKeyType ?? key.type}`,
      { hint: 'Make keys with `etcdguardian keys create`.' },
    );
  }
}
