import { Buffer } from 'node:buffer';
import type { EntryBatch } from './entry-batch.ts';
import type { LoadedPage, PageReader } from './page-reader.ts';
import { compareBytes, elementOffset, leafFlags, leafKeySize, leafKeyStart, leafValueSize } from './page.ts';

/** The entries of several leaves whose bytes lie in one buffer. One object serves a whole tree. */
export class LeafBatch implements EntryBatch {
  bytes: Buffer = Buffer.alloc(0);
  count = 0;
  keyStarts = new Uint32Array(1024);
  keySizes = new Uint32Array(1024);
  valueSizes = new Uint32Array(1024);

  private readonly reader: PageReader;
  private readonly elementFlags: number;
  private readonly from: Buffer;
  /** True once keys are at or above `from`. */
  private begun = false;
  private lastKey: Buffer | undefined;

  /** Entries below key `from` are left out. */
  constructor(reader: PageReader, elementFlags: number, from: Buffer) {
    this.reader = reader;
    this.elementFlags = elementFlags;
    this.from = from;
  }

  restart(bytes: Buffer): void {
    this.bytes = bytes;
    this.count = 0;
  }

  /** Adds a leaf of the buffer that this was restarted with. */
  add({ id, isLeaf, bytes, start }: LoadedPage, isRoot: boolean): void {
    if (!isLeaf) throw this.reader.corrupt(id, 'a branch that is as far from the root as leaves are');
    const elements = bytes.readUInt16LE(start + 10);
    if (elements === 0 && !isRoot) throw this.reader.corrupt(id, 'an empty leaf');
    while (this.count + elements > this.keyStarts.length) this.grow();
    for (let index = 0; index < elements; index++) {
      const element = elementOffset(start, index);
      if (leafFlags(bytes, element) !== this.elementFlags) {
        throw this.reader.corrupt(id, `element ${index} has the flags ${leafFlags(bytes, element)}`);
      }
      const keyStart = leafKeyStart(bytes, element);
      const keySize = leafKeySize(bytes, element);
      if (index === 0) this.checkOrder(id, bytes, keyStart, keySize);
      if (!this.begun) {
        const { from } = this;
        if (compareBytes(bytes, keyStart, keyStart + keySize, from, 0, from.length) < 0) continue;
        this.begun = true;
      }
      this.keyStarts[this.count] = keyStart;
      this.keySizes[this.count] = keySize;
      this.valueSizes[this.count] = leafValueSize(bytes, element);
      this.count++;
    }
    if (elements > 0) this.keepLastKey(bytes, elementOffset(start, elements - 1));
  }

  private checkOrder(id: number, bytes: Buffer, keyStart: number, keySize: number): void {
    const { lastKey } = this;
    if (lastKey === undefined) return;
    if (compareBytes(bytes, keyStart, keyStart + keySize, lastKey, 0, lastKey.length) <= 0) {
      throw this.reader.corrupt(id, 'its first key is not above the last one of the leaf before it');
    }
  }

  private keepLastKey(bytes: Buffer, element: number): void {
    const start = leafKeyStart(bytes, element);
    this.lastKey = Buffer.from(bytes.subarray(start, start + leafKeySize(bytes, element)));
  }

  private grow(): void {
    const grow = (old: Uint32Array): Uint32Array<ArrayBuffer> => {
      const grown = new Uint32Array(2 * old.length);
      grown.set(old);
      return grown;
    };
    this.keyStarts = grow(this.keyStarts);
    this.keySizes = grow(this.keySizes);
    this.valueSizes = grow(this.valueSizes);
  }
}
