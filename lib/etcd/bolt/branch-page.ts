import type { Buffer } from 'node:buffer';
import type { LoadedPage } from './page-reader.ts';
import { branchChild, branchKeySize, branchKeyStart, compareBytes, elementOffset } from './page.ts';

/** The page ids of a branch's children, in order. */
export function childIds({ bytes, start }: LoadedPage): number[] {
  const count = bytes.readUInt16LE(start + 10);
  return Array.from({ length: count }, (_, index) => branchChild(bytes, elementOffset(start, index)));
}

/** Which child of a branch holds `key`, if any does: the last one that doesn't start above it. */
export function childIndex({ bytes, start }: LoadedPage, key: Buffer): number {
  let low = 0;
  let high = bytes.readUInt16LE(start + 10) - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const element = elementOffset(start, middle);
    const keyStart = branchKeyStart(bytes, element);
    const keyEnd = keyStart + branchKeySize(bytes, element);
    if (compareBytes(bytes, keyStart, keyEnd, key, 0, key.length) <= 0) low = middle;
    else high = middle - 1;
  }
  return low;
}
