import { createPublicKey, type KeyObject } from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';
import { generateAesKey } from './aes-key.ts';
import { generateRecoveryKey } from './recovery-key.ts';
import { generateSigningKey } from './signing-key.ts';

/** What a key file holds: everything to write backups, and to read those of the past. */
export interface Keys {
  readonly label: string;
  readonly createdAt: Date;
  /** AES-256: wraps the data keys of new objects. */
  readonly encryptionKey: KeyObject;
  /** Ed25519, private. */
  readonly signingKey: KeyObject;
  /** RSA, the public half: new objects are sealed for it too. */
  readonly recoveryKey: KeyObject;
  readonly previous: PreviousKeys;
}

/** For reading only. */
export interface PreviousKeys {
  readonly encryptionKeys: readonly KeyObject[];
  /** RSA, private: they are here only after a recovery. */
  readonly recoveryKeys: readonly KeyObject[];
  /** Ed25519, public: who signed before. */
  readonly trustedSigners: readonly KeyObject[];
}

/** What a recovery file holds. Meant to be kept offline. */
export interface RecoveryKeys {
  readonly label: string;
  readonly createdAt: Date;
  /** RSA, private. */
  readonly recoveryKey: KeyObject;
  /** Ed25519, public: whose manifests may be believed. */
  readonly trustedSigners: readonly KeyObject[];
}

export interface NewKeys {
  readonly keys: Keys;
  readonly recovery: RecoveryKeys;
}

/** Keys for a new installation. */
export async function createKeys(label: string, now: Date): Promise<NewKeys> {
  requireLabel(label);
  const recoveryKey = await generateRecoveryKey();
  const signingKey = generateSigningKey();
  const previous = { encryptionKeys: [], recoveryKeys: [], trustedSigners: [] };
  return {
    keys: {
      label,
      createdAt: now,
      encryptionKey: generateAesKey(),
      signingKey,
      recoveryKey: createPublicKey(recoveryKey),
      previous,
    },
    recovery: { label, createdAt: now, recoveryKey, trustedSigners: [createPublicKey(signingKey)] },
  };
}

/**
 * Keys that go on where the lost key file ended. The recovery key stays and, in private, goes along: nothing else
 * opens what was stored before. The AES and the signing key are new, since nobody knows who has the lost ones; the
 * lost signer stays trusted for what it signed. The recovery file is written anew because it must know the new signer.
 */
export function recoverKeys(lost: RecoveryKeys, now: Date): NewKeys {
  const signingKey = generateSigningKey();
  const { label, recoveryKey, trustedSigners } = lost;
  return {
    keys: {
      label,
      createdAt: now,
      encryptionKey: generateAesKey(),
      signingKey,
      recoveryKey: createPublicKey(recoveryKey),
      previous: { encryptionKeys: [], recoveryKeys: [recoveryKey], trustedSigners },
    },
    recovery: {
      label,
      createdAt: now,
      recoveryKey,
      trustedSigners: [createPublicKey(signingKey), ...trustedSigners],
    },
  };
}

/** The same keys with a new AES key; the old one stays for reading. Signer and recovery file stay as they are. */
export function rotateEncryptionKey(keys: Keys, now: Date): Keys {
  const encryptionKeys = [keys.encryptionKey, ...keys.previous.encryptionKeys];
  return {
    ...keys,
    createdAt: now,
    encryptionKey: generateAesKey(),
    previous: { ...keys.previous, encryptionKeys },
  };
}

/** A label is shown to people and stands in a line of its own in the recovery file. */
export function requireLabel(label: string): void {
  if (!/^[\p{L}\p{N}][\p{L}\p{N} ._:@/+-]{0,63}$/u.test(label)) {
    throw new GuardianError('keys.label', `${JSON.stringify(label)} can't be the label of keys`, {
      hint: 'Use up to 64 letters, digits, spaces and . _ : @ / + - , beginning with a letter or digit.',
    });
  }
}
