import { createHash, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { RawRsaKeyringNode } from '@aws-crypto/raw-rsa-keyring-node';
import { GuardianError } from '../guardian-error.ts';
import { type KeyProvider, OWN_NAMESPACE } from './key-provider.ts';

/**
 * The offline key: its public half, on every machine that writes backups, wraps each data key (RSA-OAEP with SHA-256);
 * its private half opens them when everything else is gone. RSA, because it is what smart cards and HSMs hold.
 */
export function generateRecoveryKey(): Promise<KeyObject> {
  return promisify(generateKeyPair)('rsa', { modulusLength: MODULUS_BITS }).then(
    ({ privateKey }) => privateKey,
  );
}

/** Given the public half it seals only; given the private one it opens as well. */
export function recoveryKeyProvider(key: KeyObject, { seals }: { seals: boolean }): KeyProvider {
  const publicKey = publicHalf(key);
  const id = recoveryKeyId(publicKey);
  const opens = key.type === 'private';
  const keyring = new RawRsaKeyringNode({
    keyNamespace: OWN_NAMESPACE,
    keyName: id,
    rsaKey: {
      publicKey: publicKey.export({ format: 'pem', type: 'spki' }),
      ...(opens && { privateKey: key.export({ format: 'pem', type: 'pkcs8' }) }),
    },
    oaepHash: 'sha256',
  });
  return { recipient: { id, kind: 'recovery-rsa' }, keyring, seals, opens };
}

/** `recovery:` and the first 16 hex digits of SHA-256 of the public key's SPKI DER. */
export function recoveryKeyId(key: KeyObject): string {
  const spki = publicHalf(key).export({ format: 'der', type: 'spki' });
  return `recovery:${createHash('sha256').update(spki).digest('hex').slice(0, 16)}`;
}

const MODULUS_BITS = 4096;
const LEAST_MODULUS_BITS = 3072;

function publicHalf(key: KeyObject): KeyObject {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType !== 'rsa' || bits < LEAST_MODULUS_BITS) {
    const kind = `${key.asymmetricKeyType ?? key.type}${bits > 0 ? ` of ${bits} bits` : ''}`;
    throw new GuardianError(
      'keys.malformed',
      `a recovery key must be RSA of at least ${LEAST_MODULUS_BITS} bits, this one is ${kind}`,
      { hint: 'Make keys with `etcdguardian keys create`.' },
    );
  }
  return key.type === 'private' ? createPublicKey(key) : key;
}
