import { createPublicKey, type KeyObject } from 'node:crypto';
import { aesKeyProvider, deriveFromAesKey } from './aes-key.ts';
import { envelopeEncryption } from './envelope-encryption.ts';
import type { KeyProvider } from './key-provider.ts';
import type { Keys, RecoveryKeys } from './keys.ts';
import type { ObjectEncryption, SignatureVerifier, Signer } from './object-encryption.ts';
import { recoveryKeyId, recoveryKeyProvider } from './recovery-key.ts';
import { createSigner, createVerifier, signingKeyFromSeed, signingKeyId } from './signing-key.ts';

/** Keys ready for use, whatever they came from. */
export interface KeySet {
  readonly description: KeySetDescription;
  /** Undefined for public keys only. `encryption.recipients` is empty where these keys only open. */
  readonly encryption: ObjectEncryption | undefined;
  /** Undefined where these keys only read. */
  readonly signer: Signer | undefined;
  /** Undefined where no signer is known: a recovery file of which only the private key was saved. */
  readonly verifier: SignatureVerifier | undefined;
}

/** For people and for machines; holds ids and public keys, never a secret. */
export interface KeySetDescription {
  readonly source: 'key-file' | 'recovery-file' | 'aes-key' | 'public-keys';
  readonly label: string | undefined;
  readonly createdAt: Date | undefined;
  readonly keys: readonly KeyDescription[];
  /** What a person should know about these keys; each a sentence or two. */
  readonly warnings: readonly string[];
}

export interface KeyDescription {
  readonly id: string;
  readonly algorithm: 'AES-256' | 'RSA' | 'Ed25519';
  readonly abilities: readonly ('seal' | 'open' | 'sign' | 'verify')[];
  /** Of signing keys: SPKI in PEM, which is all that verifying takes. */
  readonly publicKey?: string;
}

export function keySetOfKeyFile(keys: Keys): KeySet {
  const { encryptionKey, signingKey, recoveryKey, previous } = keys;
  const recoveryId = recoveryKeyId(recoveryKey);
  const isCurrent = (key: KeyObject): boolean => recoveryKeyId(key) === recoveryId;
  const providers = [
    aesKeyProvider(encryptionKey, { seals: true }),
    ...previous.encryptionKeys.map((key) => aesKeyProvider(key, { seals: false })),
    recoveryKeyProvider(previous.recoveryKeys.find(isCurrent) ?? recoveryKey, { seals: true }),
    ...previous.recoveryKeys
      .filter((key) => !isCurrent(key))
      .map((key) => recoveryKeyProvider(key, { seals: false })),
  ];
  const warnings = previous.recoveryKeys.length === 0 ? [] : [HOLDS_RECOVERY_KEY];
  return keySet('key-file', keys, providers, signingKey, previous.trustedSigners, warnings);
}

/** Reads everything that was sealed for the recovery key, without a key file. */
export function keySetOfRecoveryFile(recovery: RecoveryKeys): KeySet {
  const providers = [recoveryKeyProvider(recovery.recoveryKey, { seals: false })];
  const warnings = recovery.trustedSigners.length === 0 ? [NO_SIGNER] : [];
  return keySet('recovery-file', recovery, providers, undefined, recovery.trustedSigners, warnings);
}

/**
 * One bare AES-256 key. Its signing key is the Ed25519 key whose seed is HKDF-SHA-256 of it, so that backups are
 * signed here too: whoever may seal for this key may sign, nobody else.
 */
export function keySetOfAesKey(key: KeyObject, warnings: readonly string[] = []): KeySet {
  const providers = [aesKeyProvider(key, { seals: true })];
  const signingKey = signingKeyFromSeed(deriveFromAesKey(key, 'etcdguardian signing key v1'));
  return keySet('aes-key', undefined, providers, signingKey, [], [NO_RECOVERY_KEY, ...warnings]);
}

/** Verifies signatures; opens nothing. What an auditor gets. */
export function keySetOfPublicKeys(trustedSigners: readonly KeyObject[]): KeySet {
  return keySet('public-keys', undefined, [], undefined, trustedSigners, []);
}

const HOLDS_RECOVERY_KEY =
  'This file holds the private half of the recovery key, because nothing else opens the backups from before the recovery. When the last of them is gone, make new keys with `etcdguardian keys create` and use those.';
const NO_RECOVERY_KEY =
  'There is no recovery key: if this key is lost, every backup made with it is lost. `etcdguardian keys create` makes keys with one.';
const NO_SIGNER =
  'This recovery file names no trusted signer, so nothing shows who wrote a backup. Give the public signing key as well, if you have it.';

function keySet(
  source: KeySetDescription['source'],
  made: { readonly label: string; readonly createdAt: Date } | undefined,
  providers: readonly KeyProvider[],
  signingKey: KeyObject | undefined,
  trustedSigners: readonly KeyObject[],
  warnings: readonly string[],
): KeySet {
  const signers = [...(signingKey === undefined ? [] : [createPublicKey(signingKey)]), ...trustedSigners];
  const signer = signingKey === undefined ? undefined : createSigner(signingKey);
  return {
    description: {
      source,
      label: made?.label,
      createdAt: made?.createdAt,
      keys: [...providers.map(describeProvider), ...signers.map((key) => describeSigner(key, signer))],
      warnings,
    },
    encryption: providers.length === 0 ? undefined : envelopeEncryption(providers),
    signer,
    verifier: signers.length === 0 ? undefined : createVerifier(signers),
  };
}

function describeProvider({ recipient, seals, opens }: KeyProvider): KeyDescription {
  const algorithm = recipient.kind === 'aes-256' ? 'AES-256' : 'RSA';
  return {
    id: recipient.id,
    algorithm,
    abilities: [...(seals ? ['seal' as const] : []), ...(opens ? ['open' as const] : [])],
  };
}

function describeSigner(key: KeyObject, signer: Signer | undefined): KeyDescription {
  const id = signingKeyId(key);
  return {
    id,
    algorithm: 'Ed25519',
    abilities: signer?.keyId === id ? ['sign', 'verify'] : ['verify'],
    publicKey: key.export({ format: 'pem', type: 'spki' }),
  };
}
