import type { KeySetDescription } from '../lib/encryption/key-set.ts';
import { fields, table } from './output.ts';

/** A set of keys as the commands print it in JSON: ids, abilities and public keys. */
export function keySetValue(description: KeySetDescription): Readonly<Record<string, unknown>> {
  const { source, label, createdAt, keys, warnings } = description;
  return { source, label: label ?? null, createdAt: createdAt ?? null, keys, warnings };
}

/** The same for a person. */
export function keySetText(file: string, description: KeySetDescription): string {
  const { source, label, createdAt, keys, warnings } = description;
  const rows = keys.map(({ id, algorithm, abilities }) => [
    id,
    algorithm,
    abilities.map((does) => WORDS[does]).join(', '),
  ]);
  return (
    fields([
      [SOURCES[source], file],
      ['label', label],
      ['made', createdAt?.toISOString()],
    ]) +
    `\n${table(['ID', 'KIND', 'WHAT IT DOES'], rows)}` +
    warnings.map((warning) => `\nwarning: ${warning}\n`).join('')
  );
}

const SOURCES = {
  'key-file': 'key file',
  'recovery-file': 'recovery file',
  'aes-key': 'bare AES key',
  'public-keys': 'public keys',
} as const;

const WORDS = { seal: 'encrypts', open: 'decrypts', sign: 'signs', verify: 'checks signatures' } as const;
