import { Buffer } from 'node:buffer';
import { compareBytes } from '../etcd/bolt/page.ts';
import { NO_GROUP } from '../etcd/mvcc/entry-table.ts';
import type { KeyGrouping } from '../etcd/mvcc/snapshot-verdict.ts';

/** Plain data, also for another thread. */
export interface GraftKeys {
  readonly prefixes: readonly Uint8Array[];
  /** Keys that are replaced. */
  readonly replaced: readonly Uint8Array[];
  /** Keys that are kept as they are found; none begins with a prefix. */
  readonly kept: readonly Uint8Array[];
}

/** Keys that give way to grafts, and those that a graft gives way to. */
export const GIVES_WAY = 0;
export const STAYS = 1;

/**
 * Sorts keys while a database streams past, millions of them: into the above, and all others into no group. A search
 * among ranges that don't overlap.
 */
export function graftGrouping({ prefixes, replaced, kept }: GraftKeys): KeyGrouping {
  const ranges = [
    ...apart(prefixes.map(bufferOf)).map((prefix) => ({ from: prefix, isPrefix: true, group: GIVES_WAY })),
    ...replaced
      .filter((key) => !prefixes.some((prefix) => beginsWith(bufferOf(key), bufferOf(prefix))))
      .map((key) => ({ from: bufferOf(key), isPrefix: false, group: GIVES_WAY })),
    ...kept.map((key) => ({ from: bufferOf(key), isPrefix: false, group: STAYS })),
  ].sort((a, b) => Buffer.compare(a.from, b.from));
  return {
    groupOf(bytes, start, end) {
      // The last range that begins at or before the key.
      let low = 0;
      let high = ranges.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const from = ranges[middle]?.from ?? NONE;
        if (compareBytes(from, 0, from.length, bytes, start, end) <= 0) low = middle + 1;
        else high = middle;
      }
      const range = ranges[low - 1];
      if (range === undefined) return NO_GROUP;
      const size = range.from.length;
      const isIn = range.isPrefix
        ? end - start >= size && compareBytes(range.from, 0, size, bytes, start, start + size) === 0
        : end - start === size && compareBytes(range.from, 0, size, bytes, start, end) === 0;
      return isIn ? range.group : NO_GROUP;
    },
    nameOf: (group) => (group === GIVES_WAY ? 'gives way' : 'stays'),
  };
}

const NONE = Buffer.alloc(0);

/** Without those that begin with another one. */
function apart(prefixes: readonly Buffer[]): Buffer[] {
  return prefixes.filter(
    (prefix, at) =>
      !prefixes.some((other, nth) => beginsWith(prefix, other) && (other.length < prefix.length || nth < at)),
  );
}

function beginsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.subarray(0, prefix.length).equals(prefix);
}

/** What crossed to a thread is a plain array of bytes. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
