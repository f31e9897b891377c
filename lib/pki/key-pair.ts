import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { GuardianError, reasonOf } from '../guardian-error.ts';

/** OpenSSL's name of NIST P-256, the only kind of key in our certificates. */
const CURVE = 'prime256v1';

/** A new private key; its public one is `createPublicKey` of it. */
export async function createKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: CURVE });
  return privateKey;
}

/** PKCS #8. Whoever stores it does so where only its owner reads: mode 0600, or a Secret. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

/** Throws `pki.key`, which names `source`, for what isn't an unencrypted private key on P-256. */
export function parsePrivateKey(pem: string, source: string): KeyObject {
  let key: KeyObject;
  try {
    if (pem.includes('ENCRYPTED')) throw new Error('it is encrypted, and there is no passphrase for it');
    key = createPrivateKey(pem);
  } catch (error) {
    throw new GuardianError('pki.key', `${source} holds no usable private key: ${reasonOf(error)}`, {
      hint: 'It must be PEM as this program wrote it. Restore the file or Secret, or have a new identity issued.',
      cause: error,
    });
  }
  requireCurve(key, source);
  return key;
}

/** Throws `pki.key` for a key of another kind: those are never ours, and weak ones are never signed. */
export function requireCurve(key: KeyObject, source: string): void {
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === CURVE) return;
  throw new GuardianError('pki.key', `${source} has a key of another kind than EC P-256`, {
    hint: 'Identities of this program have EC P-256 keys only; have this one issued by it.',
  });
}

/** DER of the SubjectPublicKeyInfo of a public key, or of a private key's public one. */
export function publicKeyInfo(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ type: 'spki', format: 'der' });
}
