import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';

/** A key of etcd as it shall be, whatever the restored data says. Values hold secrets: they go into no log and no error. */
export interface Graft {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Only where the restored data has no such key; left out: in its place. */
  readonly whereAbsent?: boolean | undefined;
}

/**
 * What is put on top of restored data. With R its newest revision: of the keys alive at R those that begin with a prefix,
 * and those that are replaced, are deleted at R + 1, in the order of keys; all grafts are put at R + 2 in that order, or at
 * R + 1 where nothing is to be deleted. Every member does so alike.
 */
export interface Grafts {
  readonly items: readonly Graft[];
  readonly prefixes: readonly Uint8Array[];
}

export function isWithoutGrafts({ items, prefixes }: Grafts): boolean {
  return items.length === 0 && prefixes.length === 0;
}

/**
 * The same in the order of keys, each key once: what lies under a prefix replaces whatever is there. Throws
 * `restore.grafts` for a key that is empty or there twice, and for an empty prefix.
 */
export function grafts({ items, prefixes }: Grafts): Grafts {
  const sortedItems = items.toSorted((a, b) => Buffer.compare(a.key, b.key));
  const sortedPrefixes = prefixes.toSorted((a, b) => Buffer.compare(a, b));
  if (sortedPrefixes[0]?.length === 0) throw refused('a prefix that is empty');
  for (const [at, { key }] of sortedItems.entries()) {
    const next = sortedItems[at + 1];
    if (key.length === 0) throw refused('a key that is empty');
    if (next !== undefined && Buffer.compare(key, next.key) === 0)
      throw refused(`key ${Buffer.from(key).toString('latin1')} twice`);
  }
  return {
    prefixes: sortedPrefixes.filter(
      (prefix, at) => at === 0 || Buffer.compare(prefix, sortedPrefixes[at - 1] ?? prefix) !== 0,
    ),
    items: sortedItems.map(({ key, value, whereAbsent = false }) => ({
      ...{ key, value },
      whereAbsent: whereAbsent && !sortedPrefixes.some((prefix) => beginsWith(key, prefix)),
    })),
  };
}

/** Tells one set from another without telling what is in it; empty for none. */
export function graftsDigest(given: Grafts): string {
  if (isWithoutGrafts(given)) return '';
  const { items, prefixes } = grafts(given);
  const hash = createHash('sha256');
  const add = (bytes: Uint8Array): void => {
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt(bytes.length));
    hash.update(size).update(bytes);
  };
  add(Buffer.from(`${items.length}`));
  for (const { key, value, whereAbsent = false } of items) {
    add(key);
    add(value);
    add(Buffer.from(whereAbsent ? 'where-absent' : ''));
  }
  for (const prefix of prefixes) add(prefix);
  return hash.digest('hex');
}

function beginsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return key.length >= prefix.length && Buffer.compare(key.subarray(0, prefix.length), prefix) === 0;
}

function refused(what: string): GuardianError {
  return new GuardianError('restore.grafts', `objects to be put on top of restored data have ${what}`, {
    hint: 'Agent and caller must be of the same version: finish the upgrade.',
  });
}
