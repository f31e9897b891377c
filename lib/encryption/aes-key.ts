import { createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { RawAesKeyringNode, RawAesWrappingSuiteIdentifier } from '@aws-crypto/raw-aes-keyring-node';
import { GuardianError } from '../guardian-error.ts';
import { type KeyProvider, OWN_NAMESPACE } from './key-provider.ts';

export function generateAesKey(): KeyObject {
  return aesKeyOf(randomBytes(AES_KEY_BYTES));
}

/** These 32 bytes as a key; rejects with `keys.malformed` if they are not 32. */
export function aesKeyOf(bytes: Uint8Array): KeyObject {
  if (bytes.length !== AES_KEY_BYTES) {
    throw new GuardianError('keys.malformed', `an AES-256 key has 32 bytes, this one has ${bytes.length}`, {
      hint: 'Make keys with `etcdguardian keys create`, or a bare one with `openssl rand -base64 32`.',
    });
  }
  return createSecretKey(bytes);
}

/** Wraps data keys with AES-256-GCM under this key, bound to the object's context. */
export function aesKeyProvider(key: KeyObject, { seals }: { seals: boolean }): KeyProvider {
  const id = aesKeyId(key);
  const keyring = new RawAesKeyringNode({
    keyNamespace: OWN_NAMESPACE,
    keyName: id,
    // The keyring wants a buffer of its own, not a view into a larger one.
    unencryptedMasterKey: Uint8Array.from(key.export()),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    utf8Sorting: true,
  });
  return { recipient: { id, kind: 'aes-256' }, keyring, seals, opens: true };
}

/** `aes:` and 16 hex digits that HKDF-SHA-256 makes of the key; they tell keys apart and nothing about the key. */
export function aesKeyId(key: KeyObject): string {
  return `aes:${Buffer.from(derive(key, 'etcdguardian aes key id v1', 8)).toString('hex')}`;
}

/** 32 bytes for another purpose that only a holder of this key can make. */
export function deriveFromAesKey(key: KeyObject, purpose: string): Uint8Array {
  return derive(key, purpose, 32);
}

const AES_KEY_BYTES = 32;

function derive(key: KeyObject, purpose: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, '', purpose, length));
}
