import { Buffer } from 'node:buffer';

/**
 * A revision of etcd's store: `main` counts transactions that changed something, `sub` the changes within one. As a
 * key of bucket `key`: `int64 BE main ‖ '_' ‖ int64 BE sub`, and a `t` behind it when the change was a deletion, so
 * that the order of bytes is the order of (main, sub).
 */
export interface Revision {
  readonly main: bigint;
  readonly sub: bigint;
}

/** A key of bucket `key`. */
export interface RevisionKey extends Revision {
  readonly tombstone: boolean;
}

export const REVISION_KEY_SIZE = 17;
export const TOMBSTONE_KEY_SIZE = 18;

const SEPARATOR = 0x5f;
const TOMBSTONE_MARK = 0x74;

/**
 * True when bytes[start, start + size) is a revision key that we can take: the form above, main < 2^53 and sub < 2^32.
 * No etcd counts that far; a file that claims to is refused, so that hot paths work in plain numbers.
 */
export function isRevisionKey(bytes: Buffer, start: number, size: number): boolean {
  return (
    (size === REVISION_KEY_SIZE || (size === TOMBSTONE_KEY_SIZE && bytes[start + 17] === TOMBSTONE_MARK)) &&
    bytes[start + 8] === SEPARATOR &&
    bytes.readUInt32BE(start) < 0x20_0000 &&
    bytes.readUInt32BE(start + 9) === 0
  );
}

/** For hot paths, on keys that `isRevisionKey`. */
export function readMain(bytes: Buffer, start: number): number {
  return bytes.readUInt32BE(start) * 0x1_0000_0000 + bytes.readUInt32BE(start + 4);
}

/** For hot paths, on keys that `isRevisionKey`. */
export function readSub(bytes: Buffer, start: number): number {
  return bytes.readUInt32BE(start + 13);
}

/** Undefined when the bytes are not a revision key. */
export function decodeRevisionKey(key: Buffer): RevisionKey | undefined {
  if (!isRevisionKey(key, 0, key.length)) return undefined;
  return {
    main: key.readBigInt64BE(0),
    sub: key.readBigInt64BE(9),
    tombstone: key.length === TOMBSTONE_KEY_SIZE,
  };
}

/** The key of a change in bucket `key`; also, without tombstone, how bucket `meta` holds compaction revisions. */
export function encodeRevisionKey({ main, sub }: Revision, tombstone = false): Buffer {
  const key = Buffer.alloc(tombstone ? TOMBSTONE_KEY_SIZE : REVISION_KEY_SIZE);
  key.writeBigInt64BE(main, 0);
  key[8] = SEPARATOR;
  key.writeBigInt64BE(sub, 9);
  if (tombstone) key[17] = TOMBSTONE_MARK;
  return key;
}

/** For hot paths: writes the key at `start` and returns its end. `main` < 2^53, `sub` < 2^32. */
export function writeRevisionKey(
  bytes: Buffer,
  start: number,
  main: number,
  sub: number,
  tombstone: boolean,
): number {
  bytes.writeUInt32BE(Math.floor(main / 0x1_0000_0000), start);
  bytes.writeUInt32BE(main % 0x1_0000_0000, start + 4);
  bytes[start + 8] = SEPARATOR;
  bytes.writeUInt32BE(0, start + 9);
  bytes.writeUInt32BE(sub, start + 13);
  if (!tombstone) return start + REVISION_KEY_SIZE;
  bytes[start + 17] = TOMBSTONE_MARK;
  return start + TOMBSTONE_KEY_SIZE;
}

/** Negative, zero or positive, as for sort(). */
export function compareRevisions(a: Revision, b: Revision): number {
  if (a.main !== b.main) return a.main < b.main ? -1 : 1;
  if (a.sub !== b.sub) return a.sub < b.sub ? -1 : 1;
  return 0;
}
