import { Buffer } from 'node:buffer';
import { elementOffset, branchChild, branchKeySize, branchKeyStart } from '../bolt/page.ts';
import type { Branch } from '../bolt/plain-pages.ts';
import { isRevisionKey, readMain, readSub, TOMBSTONE_KEY_SIZE, writeRevisionKey } from './revision.ts';

/** The most bytes that a packed element takes. */
const MAX_PACKED = 24;

/**
 * Packs branch pages of bucket `key`, of which a file holds many, stale ones above all: five bytes an element instead
 * of 33. Children and revisions are written as differences from one element to the next, in varints.
 */
export class RecordBranchPacker {
  /** Holds the page last packed; it begins at 0. */
  bytes = Buffer.allocUnsafeSlow(4096);
  private at = 0;

  /**
   * Packs the branch page at `page`, which has no fault, and returns its size; undefined when its keys are not
   * revisions.
   */
  pack(bytes: Buffer, page: number): number | undefined {
    const count = bytes.readUInt16LE(page + 10);
    if (this.bytes.length < count * MAX_PACKED) this.bytes = Buffer.allocUnsafeSlow(count * MAX_PACKED);
    this.at = 0;
    let lastChild = 0;
    let lastMain = 0;
    for (let index = 0; index < count; index++) {
      const element = elementOffset(page, index);
      const start = branchKeyStart(bytes, element);
      const size = branchKeySize(bytes, element);
      if (!isRevisionKey(bytes, start, size)) return undefined;
      const child = branchChild(bytes, element);
      if (child > 0xffff_ffff) return undefined;
      const main = readMain(bytes, start);
      const step = child - lastChild;
      this.write(step < 0 ? -2 * step - 1 : 2 * step);
      this.write(main - lastMain);
      this.write(readSub(bytes, start) * 2 + (size === TOMBSTONE_KEY_SIZE ? 1 : 0));
      lastChild = child;
      lastMain = main;
    }
    return this.at;
  }

  private write(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.bytes[this.at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.at++] = rest;
  }
}

/** The branch page of `count` elements that was packed into `bytes`. */
export function unpackRecordBranch(bytes: Buffer, count: number): Branch {
  const children: number[] = [];
  const keys: Buffer[] = [];
  const keyBytes = Buffer.allocUnsafe(count * TOMBSTONE_KEY_SIZE);
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  let child = 0;
  let main = 0;
  for (let index = 0; index < count; index++) {
    const step = read();
    child += step % 2 === 0 ? step / 2 : -(step + 1) / 2;
    main += read();
    const sub = read();
    const start = index * TOMBSTONE_KEY_SIZE;
    const end = writeRevisionKey(keyBytes, start, main, Math.floor(sub / 2), sub % 2 === 1);
    children.push(child);
    keys.push(keyBytes.subarray(start, end));
  }
  return { children, keys };
}
