import type { ObjectEncryption, SignatureVerifier, Signer } from '../../encryption/object-encryption.ts';
import { GuardianError } from '../../guardian-error.ts';

/** What encrypts and signs backups, as a Secret has it. */
export interface KeyMaterial {
  /** A key file, or a bare AES-256 key; empty: nothing is encrypted. */
  readonly encryption: Uint8Array;
  /** Names it in messages, e.g. `Secret prod/backup-key`. */
  readonly encryptionFrom: string;
  /** A key file whose key signs where nothing is encrypted; also trusted for reading. Empty: none. */
  readonly signing: Uint8Array;
}

/** Keys as a repository takes them. */
export interface TaskKeys {
  readonly encryption: ObjectEncryption | undefined;
  readonly signer: Signer | undefined;
  readonly verifier: SignatureVerifier | undefined;
}

/** Rejects with the errors of `loadKeys`, and with `keys.read-only` for keys that write nothing. */
export async function taskKeys({ encryption, encryptionFrom, signing }: KeyMaterial): Promise<TaskKeys> {
  if (encryption.length === 0 && signing.length === 0)
    return { encryption: undefined, signer: undefined, verifier: undefined };
  // The encryption SDK takes time and memory that processes without work needn't pay.
  const { loadKeys } = await import('../../encryption/load-keys.ts');
  const from = encryptionFrom === '' ? 'the encryption key' : encryptionFrom;
  const sealing = encryption.length === 0 ? undefined : await loadKeys({ content: encryption, from });
  const ours =
    signing.length === 0
      ? undefined
      : await loadKeys({ content: signing, from: "this installation's signing key" });
  if (sealing !== undefined && (sealing.signer === undefined || sealing.encryption?.recipients.length === 0))
    throw new GuardianError('keys.read-only', `${from} opens and verifies backups, but makes none`, {
      hint: 'Use a key file of `etcdguardian keys create`, or 32 random bytes; a recovery file stays in its safe.',
    });
  return {
    encryption: sealing?.encryption,
    signer: (sealing ?? ours)?.signer,
    verifier: eitherOf(sealing?.verifier, ours?.verifier),
  };
}

/** Believes what one of them believes. */
export function eitherOf(
  one: SignatureVerifier | undefined,
  other: SignatureVerifier | undefined,
): SignatureVerifier | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return {
    keyIds: [...new Set([...one.keyIds, ...other.keyIds])],
    verify: (message, keyId, signature) =>
      one.verify(message, keyId, signature) || other.verify(message, keyId, signature),
  };
}
