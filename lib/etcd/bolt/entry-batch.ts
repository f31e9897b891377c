import { Buffer } from 'node:buffer';

/**
 * Some entries of a bucket in ascending order of keys, packed, so that millions of them cost no object each. Entry i:
 * its key is the `keySizes[i]` bytes of `bytes` at `keyStarts[i]`; its value the `valueSizes[i]` bytes behind the key.
 *
 * Whoever gets one from an iterator may use it until it asks for the next: producers use the memory again.
 */
export interface EntryBatch {
  readonly bytes: Buffer;
  readonly count: number;
  /** These may be longer than `count`. */
  readonly keyStarts: Uint32Array;
  readonly keySizes: Uint32Array;
  readonly valueSizes: Uint32Array;
}

/** Views of entry `index`, in the batch's memory. */
export function keyOf(batch: EntryBatch, index: number): Buffer {
  const start = batch.keyStarts[index] ?? 0;
  return batch.bytes.subarray(start, start + (batch.keySizes[index] ?? 0));
}

export function valueOf(batch: EntryBatch, index: number): Buffer {
  const start = (batch.keyStarts[index] ?? 0) + (batch.keySizes[index] ?? 0);
  return batch.bytes.subarray(start, start + (batch.valueSizes[index] ?? 0));
}

/** Entries [from, to), in the batch's memory. */
export function sliceOf(batch: EntryBatch, from: number, to: number): EntryBatch {
  return {
    bytes: batch.bytes,
    count: to - from,
    keyStarts: batch.keyStarts.subarray(from, to),
    keySizes: batch.keySizes.subarray(from, to),
    valueSizes: batch.valueSizes.subarray(from, to),
  };
}

/** A batch of a few entries, given in ascending order of keys. */
export function batchOf(entries: Iterable<readonly [key: Uint8Array, value: Uint8Array]>): EntryBatch {
  const batch = new EntryBatchBuilder(0);
  for (const [key, value] of entries) batch.add(key, value);
  return batch;
}

/** A batch that is filled, handed on, cleared and filled again. */
export class EntryBatchBuilder implements EntryBatch {
  bytes: Buffer;
  count = 0;
  keyStarts = new Uint32Array(64);
  keySizes = new Uint32Array(64);
  valueSizes = new Uint32Array(64);
  /** Bytes in use. */
  size = 0;

  /** `capacity` in bytes: a first guess, it grows. */
  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafe(capacity);
  }

  add(key: Uint8Array, value: Uint8Array): void {
    const start = this.reserve(key.length, value.length);
    this.bytes.set(key, start);
    this.bytes.set(value, start + key.length);
  }

  /** Adds an entry whose key and value the caller then writes into `bytes` at the offset returned. */
  reserve(keySize: number, valueSize: number): number {
    const start = this.size;
    this.size += keySize + valueSize;
    if (this.size > this.bytes.length) this.growBytes();
    if (this.count === this.keyStarts.length) this.growEntries();
    this.keyStarts[this.count] = start;
    this.keySizes[this.count] = keySize;
    this.valueSizes[this.count] = valueSize;
    this.count++;
    return start;
  }

  /** Adds entries [from, to) of another batch. */
  addFrom(batch: EntryBatch, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const keySize = batch.keySizes[index] ?? 0;
      const valueSize = batch.valueSizes[index] ?? 0;
      const source = batch.keyStarts[index] ?? 0;
      const start = this.reserve(keySize, valueSize);
      batch.bytes.copy(this.bytes, start, source, source + keySize + valueSize);
    }
  }

  clear(): void {
    this.count = 0;
    this.size = 0;
  }

  private growBytes(): void {
    const grown = Buffer.allocUnsafe(Math.max(this.size, 2 * this.bytes.length));
    this.bytes.copy(grown);
    this.bytes = grown;
  }

  private growEntries(): void {
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
