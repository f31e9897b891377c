import type { KeyMaterial } from '../../lib/backup/task/task-keys.ts';
import { keysHint, type ReadSecret } from './secret-reader.ts';

/** Entries that are looked for, in this order; a Secret with one single entry may call it as it likes. */
export const ENCRYPTION_ENTRIES = ['keys.json', 'key', 'encryption-key', 'key.json', 'keys'] as const;

/**
 * The key that encrypts, out of a Secret: a key file of `etcdguardian keys create`, or a bare AES-256 key, as
 * `parseKeys` reads them. Throws `controlplane.secret-malformed`.
 */
export function encryptionKeyOf(secret: ReadSecret): Pick<KeyMaterial, 'encryption' | 'encryptionFrom'> {
  const { entries, from } = secret;
  const [only, another] = entries.keys();
  const name =
    ENCRYPTION_ENTRIES.find((known) => entries.has(known)) ?? (another === undefined ? only : undefined);
  const encryption = name === undefined ? undefined : entries.get(name);
  if (name === undefined || encryption === undefined)
    throw secret.malformed(
      `has no key ${ENCRYPTION_ENTRIES.join(', ')}`,
      keysHint(secret, 'encryption.encryptionSecret'),
    );
  if (encryption.length === 0)
    throw secret.malformed(
      `has nothing in key ${name}`,
      'Put a key file of `etcdguardian keys create` there, or what `openssl rand -base64 32` prints.',
    );
  return { encryption, encryptionFrom: `${from}, key ${name}` };
}
