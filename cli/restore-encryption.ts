import type { NeededKey } from '../lib/keyspace/keys-needed.ts';
import { keysText } from './keys-needed-text.ts';

type Key = Omit<NeededKey, 'values'>;

/** How this cluster writes its Secrets now: with a key, or as they are; undefined where none could be looked at. */
export type SecretsNow = Key | 'plain' | undefined;

/**
 * What API servers need to read the restored data, beside what they have: keys are told apart by their names alone, as
 * values in etcd have them. Of a restore point, the keys of its base.
 */
export function encryptionLines(needed: readonly Key[], now: SecretsNow): string[] {
  const keys = keysText(needed);
  if (keys === undefined)
    return now === undefined || now === 'plain'
      ? []
      : [
          `the restored data isn't encrypted at rest, and this cluster writes Secrets with ${now.provider} ${now.key}: its EncryptionConfiguration must have "identity", too, to read them`,
        ];
  const needs = `the EncryptionConfiguration of every API server must have ${keys}`;
  if (now === undefined)
    return [`encrypted at rest: ${needs}; whether it has is not known here. A drill with it shows that`];
  if (now === 'plain')
    return [
      `warning: the restored data is encrypted at rest, and this cluster writes Secrets as they are: ${needs}, or nobody can read these`,
    ];
  const others = needed.filter(({ provider, key }) => provider !== now.provider || key !== now.key);
  if (others.length === 0)
    return [`encrypted at rest with ${keys}, by whose name this cluster writes Secrets now, too`];
  return [
    `warning: the restored data is encrypted at rest with other keys than this cluster writes with now (${now.provider} ${now.key}): ${needs}, or nobody can read what was written with them`,
  ];
}
