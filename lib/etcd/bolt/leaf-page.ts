import type { Buffer } from 'node:buffer';
import { type EntryBatch, EntryBatchBuilder } from './entry-batch.ts';
import type { PageRun } from './page-output.ts';
import {
  ELEMENT_SIZE,
  elementOffset,
  LEAF_PAGE,
  leafFlags,
  leafKeySize,
  leafKeyStart,
  leafValueSize,
  PAGE_HEADER_SIZE,
  writePageHeader,
} from './page.ts';

/** Bytes of a leaf that holds entries [from, to) of the batch. */
export function leafSize(batch: EntryBatch, from: number, to: number): number {
  return PAGE_HEADER_SIZE + ELEMENT_SIZE * (to - from) + dataSize(batch, from, to);
}

/** Writes the leaf of entries [from, to) over all of `run`, which is large enough. An inline bucket's has the id 0. */
export function writeLeaf(
  { id, overflow, bytes: run }: PageRun,
  batch: EntryBatch,
  from: number,
  to: number,
  elementFlags: number,
): void {
  const { bytes, keyStarts, keySizes, valueSizes } = batch;
  const count = to - from;
  writePageHeader(run, 0, { id, flags: LEAF_PAGE, count, overflow });
  const dataStart = elementOffset(0, count);
  let at = dataStart;
  let packed = true;
  const sourceStart = keyStarts[from] ?? 0;
  let element = PAGE_HEADER_SIZE;
  for (let index = from; index < to; index++, element += ELEMENT_SIZE) {
    const keySize = keySizes[index] ?? 0;
    const valueSize = valueSizes[index] ?? 0;
    run.writeUInt32LE(elementFlags, element);
    run.writeUInt32LE(at - element, element + 4);
    run.writeUInt32LE(keySize, element + 8);
    run.writeUInt32LE(valueSize, element + 12);
    if ((keyStarts[index] ?? 0) !== sourceStart + at - dataStart) packed = false;
    at += keySize + valueSize;
  }
  if (packed) bytes.copy(run, dataStart, sourceStart, sourceStart + at - dataStart);
  else copyEntries(run, dataStart, batch, from, to);
  run.fill(0, at);
}

/** The entries of the leaf page in bytes[page, end), which `leafFault` has passed, in the page's own memory. */
export function leafEntries(bytes: Buffer, page: number): EntryBatch & { readonly flags: Uint32Array } {
  const count = bytes.readUInt16LE(page + 10);
  const batch = {
    bytes,
    count,
    keyStarts: new Uint32Array(count),
    keySizes: new Uint32Array(count),
    valueSizes: new Uint32Array(count),
    flags: new Uint32Array(count),
  };
  for (let index = 0; index < count; index++) {
    const element = elementOffset(page, index);
    batch.flags[index] = leafFlags(bytes, element);
    batch.keyStarts[index] = leafKeyStart(bytes, element);
    batch.keySizes[index] = leafKeySize(bytes, element);
    batch.valueSizes[index] = leafValueSize(bytes, element);
  }
  return batch;
}

function dataSize(batch: EntryBatch, from: number, to: number): number {
  if (batch instanceof EntryBatchBuilder && from === 0 && to === batch.count) return batch.size;
  let size = 0;
  for (let index = from; index < to; index++) {
    size += (batch.keySizes[index] ?? 0) + (batch.valueSizes[index] ?? 0);
  }
  return size;
}

function copyEntries(run: Buffer, dataStart: number, batch: EntryBatch, from: number, to: number): void {
  let at = dataStart;
  for (let index = from; index < to; index++) {
    const start = batch.keyStarts[index] ?? 0;
    const size = (batch.keySizes[index] ?? 0) + (batch.valueSizes[index] ?? 0);
    at += batch.bytes.copy(run, at, start, start + size);
  }
}
