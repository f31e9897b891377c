import type { Buffer } from 'node:buffer';
import {
  BUCKET_ELEMENT,
  branchChild,
  branchFault,
  branchKeySize,
  branchKeyStart,
  elementOffset,
  leafFault,
  leafFlags,
  leafKeySize,
  leafKeyStart,
  leafValueSize,
} from './page.ts';

/** Leaf and branch pages as plain bytes: of small buckets, of the list of buckets, of anything unexpected. */

export interface LeafElement {
  readonly flags: number;
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A branch page: `children[i]` holds the keys from `keys[i]` up to, not including, `keys[i + 1]`. */
export interface Branch {
  readonly children: readonly number[];
  readonly keys: readonly Buffer[];
}

/**
 * What is wrong with the leaf page in bytes[page, end), or undefined. Beyond `leafFault`, no element's bytes may be
 * another's too: a page's content is then never more than the page, whatever is summed up over it.
 */
export function plainLeafFault(bytes: Buffer, page: number, end: number): string | undefined {
  const fault = leafFault(bytes, page, end);
  if (fault !== undefined) return fault;
  const count = bytes.readUInt16LE(page + 10);
  let free = elementOffset(page, count);
  for (let index = 0; index < count; index++) {
    const element = elementOffset(page, index);
    const start = leafKeyStart(bytes, element);
    if (start < free) return `element ${index} overlaps its predecessor`;
    if (leafFlags(bytes, element) > BUCKET_ELEMENT) {
      return `element ${index} has the flags ${leafFlags(bytes, element)}`;
    }
    free = start + leafKeySize(bytes, element) + leafValueSize(bytes, element);
  }
  return undefined;
}

/** The same for a branch page. */
export function plainBranchFault(bytes: Buffer, page: number, end: number): string | undefined {
  const fault = branchFault(bytes, page, end);
  if (fault !== undefined) return fault;
  const count = bytes.readUInt16LE(page + 10);
  let free = elementOffset(page, count);
  for (let index = 0; index < count; index++) {
    const element = elementOffset(page, index);
    const start = branchKeyStart(bytes, element);
    if (start < free) return `element ${index} overlaps its predecessor`;
    free = start + branchKeySize(bytes, element);
  }
  return undefined;
}

/** Where the content of a page without fault ends; what is behind that means nothing. */
export function plainPageEnd(bytes: Buffer, page: number, isLeaf: boolean): number {
  const count = bytes.readUInt16LE(page + 10);
  if (count === 0) return elementOffset(page, 0);
  const last = elementOffset(page, count - 1);
  return isLeaf
    ? leafKeyStart(bytes, last) + leafKeySize(bytes, last) + leafValueSize(bytes, last)
    : branchKeyStart(bytes, last) + branchKeySize(bytes, last);
}

/** The elements of a leaf page without fault. */
export function* leafElements(bytes: Buffer, page: number): Generator<LeafElement> {
  const count = bytes.readUInt16LE(page + 10);
  for (let index = 0; index < count; index++) yield leafElementAt(bytes, page, index);
}

export function leafElementAt(bytes: Buffer, page: number, index: number): LeafElement {
  const element = elementOffset(page, index);
  const keyStart = leafKeyStart(bytes, element);
  const keyEnd = keyStart + leafKeySize(bytes, element);
  return {
    flags: leafFlags(bytes, element),
    key: bytes.subarray(keyStart, keyEnd),
    value: bytes.subarray(keyEnd, keyEnd + leafValueSize(bytes, element)),
  };
}

/** The elements of a branch page without fault. */
export function readBranch(bytes: Buffer, page: number): Branch {
  const count = bytes.readUInt16LE(page + 10);
  const children: number[] = [];
  const keys: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const element = elementOffset(page, index);
    const start = branchKeyStart(bytes, element);
    children.push(branchChild(bytes, element));
    keys.push(bytes.subarray(start, start + branchKeySize(bytes, element)));
  }
  return { children, keys };
}
