import type { Buffer } from 'node:buffer';
import {
  MAX_PAGE_SIZE,
  META_PAGE,
  MIN_PAGE_SIZE,
  PAGE_HEADER_SIZE,
  readU64,
  writePageHeader,
  writeU64,
} from './page.ts';

/** A bbolt file's root: what one of its two meta pages says. */
export interface Meta {
  readonly pageSize: number;
  readonly rootPage: number;
  /** Undefined when the free pages are not stored, as in every file that etcd writes on Linux. */
  readonly freelistPage: number | undefined;
  /** Pages ever allocated (bbolt's high-water mark `pgid`): the database is pageCount × pageSize bytes long. */
  readonly pageCount: number;
  readonly txid: bigint;
}

/** Both metas of a file as found; at least one is there. */
export interface MetaPair {
  readonly pageSize: number;
  readonly metas: readonly [Meta | undefined, Meta | undefined];
}

/** Bytes from the start of a file that `findMetas` wants: both metas at the largest page size. */
export const META_SEARCH_SIZE = 2 * MAX_PAGE_SIZE;

const MAGIC = 0xed0cdaed;
const VERSION = 2;
const BODY_SIZE = 64;
const CHECKSUM_AT = 56;
const NO_FREELIST = 0xffff_ffff_ffff_ffffn;

/**
 * Finds the metas at the start of a file, trying the page size that the first one names and then every other one, as
 * bbolt ≥ 1.3.7 does. `head` holds the file's first META_SEARCH_SIZE bytes, or all of a shorter file. Says
 * 'big-endian' for a file written on a big-endian host (s390x), undefined when no valid meta is there.
 */
export function findMetas(head: Buffer): MetaPair | 'big-endian' | undefined {
  const named = readMeta(head, 0)?.pageSize;
  if (named !== undefined) return metasAt(head, named);
  for (let pageSize = MIN_PAGE_SIZE; pageSize <= MAX_PAGE_SIZE; pageSize *= 2) {
    if (readMeta(head, pageSize)?.pageSize === pageSize) return metasAt(head, pageSize);
  }
  for (let page = 0; page <= MAX_PAGE_SIZE; page = page === 0 ? MIN_PAGE_SIZE : page * 2) {
    if (isBigEndianMeta(head, page)) return 'big-endian';
  }
  return undefined;
}

/** The meta that counts: the valid one of the higher transaction. */
export function chooseMeta([first, second]: MetaPair['metas']): Meta | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return second.txid > first.txid ? second : first;
}

/**
 * The meta in the page that starts at `page`; undefined unless magic, version and checksum match and its page size is
 * one we read. Page ids are not checked: see `metaFault`.
 */
export function readMeta(bytes: Buffer, page: number): Meta | undefined {
  const body = page + PAGE_HEADER_SIZE;
  if (body + BODY_SIZE > bytes.length) return undefined;
  if (bytes.readUInt32LE(body) !== MAGIC || bytes.readUInt32LE(body + 4) !== VERSION) return undefined;
  if (fnv1a64(bytes, body, body + CHECKSUM_AT) !== bytes.readBigUInt64LE(body + CHECKSUM_AT))
    return undefined;
  const pageSize = bytes.readUInt32LE(body + 8);
  if (!isPageSize(pageSize)) return undefined;
  return {
    pageSize,
    rootPage: readU64(bytes, body + 16),
    freelistPage: bytes.readBigUInt64LE(body + 32) === NO_FREELIST ? undefined : readU64(bytes, body + 32),
    pageCount: readU64(bytes, body + 40),
    txid: bytes.readBigUInt64LE(body + 48),
  };
}

/** What is wrong with the page ids of a valid meta, or undefined. */
export function metaFault(meta: Meta): string | undefined {
  if (meta.pageCount * meta.pageSize > Number.MAX_SAFE_INTEGER) return `claims ${meta.pageCount} pages`;
  if (meta.rootPage < 2 || meta.rootPage >= meta.pageCount) {
    return `its root page ${meta.rootPage} is not one of its ${meta.pageCount} pages`;
  }
  if (meta.freelistPage !== undefined && (meta.freelistPage < 2 || meta.freelistPage >= meta.pageCount)) {
    return `its freelist page ${meta.freelistPage} is not one of its ${meta.pageCount} pages`;
  }
  return undefined;
}

/** Writes header and body of a meta page; the rest of the page is the caller's (zeros). `id` is 0 or 1. */
export function writeMetaPage(bytes: Buffer, page: number, id: 0 | 1, meta: Meta): void {
  const body = page + PAGE_HEADER_SIZE;
  writePageHeader(bytes, page, { id, flags: META_PAGE, count: 0, overflow: 0 });
  bytes.writeUInt32LE(MAGIC, body);
  bytes.writeUInt32LE(VERSION, body + 4);
  bytes.writeUInt32LE(meta.pageSize, body + 8);
  bytes.writeUInt32LE(0, body + 12);
  writeU64(bytes, body + 16, meta.rootPage);
  writeU64(bytes, body + 24, 0);
  if (meta.freelistPage === undefined) bytes.writeBigUInt64LE(NO_FREELIST, body + 32);
  else writeU64(bytes, body + 32, meta.freelistPage);
  writeU64(bytes, body + 40, meta.pageCount);
  bytes.writeBigUInt64LE(meta.txid, body + 48);
  bytes.writeBigUInt64LE(fnv1a64(bytes, body, body + CHECKSUM_AT), body + CHECKSUM_AT);
}

export function isPageSize(size: number): boolean {
  return size >= MIN_PAGE_SIZE && size <= MAX_PAGE_SIZE && (size & (size - 1)) === 0;
}

/** FNV-1a, 64 bits, of bytes[start, end). In two 32-bit halves: the prime is 2^40 + 0x1b3. */
export function fnv1a64(bytes: Uint8Array, start: number, end: number): bigint {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (let at = start; at < end; at++) {
    low = (low ^ (bytes[at] ?? 0)) >>> 0;
    const lowProduct = low * 0x1b3;
    high = (high * 0x1b3 + Math.floor(lowProduct / 0x1_0000_0000) + (low << 8)) >>> 0;
    low = lowProduct >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}

function metasAt(head: Buffer, pageSize: number): MetaPair {
  const second = readMeta(head, pageSize);
  const first = readMeta(head, 0);
  return { pageSize, metas: [first, second?.pageSize === pageSize ? second : undefined] };
}

function isBigEndianMeta(head: Buffer, page: number): boolean {
  const body = page + PAGE_HEADER_SIZE;
  return (
    body + BODY_SIZE <= head.length &&
    head.readUInt32BE(body) === MAGIC &&
    head.readUInt32BE(body + 4) === VERSION
  );
}
