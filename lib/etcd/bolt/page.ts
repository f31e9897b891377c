import type { Buffer } from 'node:buffer';

/*
 * The layout of a page in a bbolt file (format version 2, little-endian; unchanged from bbolt 1.3.3 to 1.5.0).
 * Page N starts at byte N × page size. All sizes in bytes.
 *
 *   header   u64 id · u16 flags · u16 count · u32 overflow
 *   branch   count × { u32 pos · u32 keySize · u64 child },  then the keys, packed
 *   leaf     count × { u32 flags · u32 pos · u32 keySize · u32 valueSize },  then key, value, key, value …, packed
 *
 * `pos` counts from the element itself, not from the page. `overflow` is the number of further contiguous pages that
 * belong to this one and carry no header of their own.
 */

export const PAGE_HEADER_SIZE = 16;
export const ELEMENT_SIZE = 16;
/** A bucket's value: u64 root page (0 when the bucket's only leaf follows inline), u64 sequence. */
export const BUCKET_HEADER_SIZE = 16;

export const BRANCH_PAGE = 0x01;
export const LEAF_PAGE = 0x02;
export const META_PAGE = 0x04;
export const FREELIST_PAGE = 0x10;

/** Set in a leaf element whose value is a bucket. */
export const BUCKET_ELEMENT = 0x01;

export const MIN_PAGE_SIZE = 1024;
export const MAX_PAGE_SIZE = 65536;
/** The first page that is not a meta page. */
export const FIRST_DATA_PAGE = 2;

export const MAX_KEY_SIZE = 32768;
export const MAX_VALUE_SIZE = 2 ** 31 - 2;

export interface PageHeader {
  readonly id: number;
  readonly flags: number;
  readonly count: number;
  readonly overflow: number;
}

export function readPageHeader(bytes: Buffer, page: number): PageHeader {
  return {
    id: readU64(bytes, page),
    flags: bytes.readUInt16LE(page + 8),
    count: bytes.readUInt16LE(page + 10),
    overflow: bytes.readUInt32LE(page + 12),
  };
}

export function writePageHeader(bytes: Buffer, page: number, header: PageHeader): void {
  writeU64(bytes, page, header.id);
  bytes.writeUInt16LE(header.flags, page + 8);
  bytes.writeUInt16LE(header.count, page + 10);
  bytes.writeUInt32LE(header.overflow, page + 12);
}

/** Offset of element `index` of the page that starts at `page`. */
export function elementOffset(page: number, index: number): number {
  return page + PAGE_HEADER_SIZE + ELEMENT_SIZE * index;
}

/** What follows takes an element's offset. None of it checks bounds: see `leafFault` and `branchFault`. */
export function leafFlags(bytes: Buffer, element: number): number {
  return bytes.readUInt32LE(element);
}

export function leafKeyStart(bytes: Buffer, element: number): number {
  return element + bytes.readUInt32LE(element + 4);
}

export function leafKeySize(bytes: Buffer, element: number): number {
  return bytes.readUInt32LE(element + 8);
}

export function leafValueSize(bytes: Buffer, element: number): number {
  return bytes.readUInt32LE(element + 12);
}

export function branchKeyStart(bytes: Buffer, element: number): number {
  return element + bytes.readUInt32LE(element);
}

export function branchKeySize(bytes: Buffer, element: number): number {
  return bytes.readUInt32LE(element + 4);
}

export function branchChild(bytes: Buffer, element: number): number {
  return readU64(bytes, element + 8);
}

/**
 * What is wrong with the elements of the leaf page in bytes[page, end), or undefined. After that every key and value
 * lies behind the elements and before `end`, and keys ascend strictly and are neither empty nor too long.
 */
export function leafFault(bytes: Buffer, page: number, end: number): string | undefined {
  const count = bytes.readUInt16LE(page + 10);
  const dataStart = elementOffset(page, count);
  if (dataStart > end) return `${count} elements do not fit the page`;
  let previousStart = 0;
  let previousEnd = 0;
  for (let index = 0; index < count; index++) {
    const element = elementOffset(page, index);
    const keyStart = leafKeyStart(bytes, element);
    const keyEnd = keyStart + leafKeySize(bytes, element);
    if (keyStart < dataStart || keyEnd + leafValueSize(bytes, element) > end) {
      return `element ${index} points outside the page`;
    }
    if (keyEnd === keyStart || keyEnd - keyStart > MAX_KEY_SIZE) {
      return `element ${index} has a key of ${keyEnd - keyStart} bytes`;
    }
    if (index > 0 && compareBytes(bytes, keyStart, keyEnd, bytes, previousStart, previousEnd) <= 0) {
      return `element ${index} is not above its predecessor`;
    }
    previousStart = keyStart;
    previousEnd = keyEnd;
  }
  return undefined;
}

/** The same for a branch page, which must also have at least one child. Page ids are not looked at. */
export function branchFault(bytes: Buffer, page: number, end: number): string | undefined {
  const count = bytes.readUInt16LE(page + 10);
  const dataStart = elementOffset(page, count);
  if (count === 0) return 'a branch without children';
  if (dataStart > end) return `${count} elements do not fit the page`;
  let previousStart = 0;
  let previousEnd = 0;
  for (let index = 0; index < count; index++) {
    const element = elementOffset(page, index);
    const keyStart = branchKeyStart(bytes, element);
    const keyEnd = keyStart + branchKeySize(bytes, element);
    if (keyStart < dataStart || keyEnd > end) return `element ${index} points outside the page`;
    if (keyEnd === keyStart || keyEnd - keyStart > MAX_KEY_SIZE) {
      return `element ${index} has a key of ${keyEnd - keyStart} bytes`;
    }
    if (index > 0 && compareBytes(bytes, keyStart, keyEnd, bytes, previousStart, previousEnd) <= 0) {
      return `element ${index} is not above its predecessor`;
    }
    previousStart = keyStart;
    previousEnd = keyEnd;
  }
  return undefined;
}

/**
 * Compares a[aStart, aEnd) with b[bStart, bEnd) bytewise, as bbolt orders keys: negative, zero or positive. For short
 * keys this is several times as fast as a native call.
 */
export function compareBytes(
  a: Buffer,
  aStart: number,
  aEnd: number,
  b: Buffer,
  bStart: number,
  bEnd: number,
): number {
  const size = Math.min(aEnd - aStart, bEnd - bStart);
  for (let at = 0; at < size; at++) {
    const difference = (a[aStart + at] ?? 0) - (b[bStart + at] ?? 0);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

/** Exact below 2^53; beyond that close enough to fail any comparison with a page count. */
export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + bytes.readUInt32LE(at);
}

/** `value` below 2^53. */
export function writeU64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}
