import { Buffer } from 'node:buffer';
import { valueEncoding } from './value-encoding.ts';

/** What API servers need to read the encrypted values of a database: one entry of their EncryptionConfiguration. */
export interface NeededKey {
  /** `aescbc`, `aesgcm`, `secretbox`, `kms-v1`, `kms-v2`, or `unknown`. */
  readonly provider: string;
  /** Name of the key, or of the KMS provider; of an unknown scheme all that is known. */
  readonly key: string;
  /** How many live values were written with it. */
  readonly values: number;
}

/** How encrypted values begin: this marker, then scheme, version and name of the key, each ended by a colon. */
export const ENCRYPTED_VALUES = { marker: 'k8s:enc:', fields: 3 } as const;

/** The keys behind prefixes (in latin1) that were counted by `ENCRYPTED_VALUES`, the most used first. */
export function keysNeeded(
  prefixes: readonly { readonly prefix: string; readonly liveKeys: number }[],
): NeededKey[] {
  const keys = prefixes.map(({ prefix, liveKeys }) => {
    const found = valueEncoding(Buffer.from(prefix, 'latin1'));
    if (found.kind === 'encrypted') {
      return { provider: found.encryption.scheme, key: found.encryption.keyName, values: liveKeys };
    }
    return { provider: 'unknown', key: prefix.replaceAll(/[^\x20-\x7e]/g, '?'), values: liveKeys };
  });
  return keys.sort((a, b) => b.values - a.values);
}
