import type { EncryptedDataKey, KeyringNode } from '@aws-crypto/material-management-node';
import type { Recipient } from './object-encryption.ts';

/**
 * One key that wraps data keys: a key of ours, or one that lives in a KMS or in Vault. A file each beside this one.
 *
 * The keyring writes the data key under `recipient.id` in a way that `recipientIdOf` finds again. A key that can't be
 * reached rejects with a `GuardianError` of its own (`retryable` where it is); bytes that it can't unwrap leave the
 * material without a key.
 */
export interface KeyProvider {
  readonly recipient: Recipient;
  readonly keyring: KeyringNode;
  /** New objects are sealed for it. False for keys of the past, which are kept for reading. */
  readonly seals: boolean;
  /** It unwraps data keys. False for the public half of a recovery key. */
  readonly opens: boolean;
}

/** The provider id of our own keys in a message header; their provider info begins with the recipient's id. */
export const OWN_NAMESPACE = 'etcdguardian';

/** Which key a wrapped data key needs, from the header of a sealed object, whoever wrote it. */
export function recipientIdOf({ providerId, providerInfo }: EncryptedDataKey): string {
  if (providerId === OWN_NAMESPACE) {
    const own = /^[a-z-]+:[0-9a-f]{16}/.exec(providerInfo);
    if (own !== null) return own[0];
  }
  return printable(`${providerId}:${providerInfo}`);
}

function printable(text: string): string {
  const shown = text.replaceAll(/[^\x21-\x7e]/g, '?');
  return shown.length <= 128 ? shown : `${shown.slice(0, 127)}…`;
}
