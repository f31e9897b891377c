import type { NeededKey } from '../lib/keyspace/keys-needed.ts';
import { count } from './output.ts';

/** `kms-v2 vault, aescbc key1`; undefined when none is needed. */
export function keysText(keys: readonly Omit<NeededKey, 'values'>[]): string | undefined {
  return keys.map(({ provider, key }) => `${provider} ${key}`).join(', ') || undefined;
}

/** The same with how many values were written with each. */
export function countedKeysText(keys: readonly NeededKey[]): string | undefined {
  const texts = keys.map(({ provider, key, values }) => `${provider} ${key} (${count(values)} live)`);
  return texts.join(', ') || undefined;
}
