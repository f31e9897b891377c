import { Buffer } from 'node:buffer';
import { batchOf, type EntryBatch, keyOf, valueOf } from './entry-batch.ts';
import type { BoltFile } from './reader.ts';

/** All entries of a bucket that has few, by their keys as latin1; none where it is missing. */
export async function readSmallBucket(file: BoltFile, name: string): Promise<Map<string, Buffer>> {
  const entries = new Map<string, Buffer>();
  for await (const batch of file.entries(name)) {
    for (let index = 0; index < batch.count; index++) {
      entries.set(keyOf(batch, index).toString('latin1'), Buffer.from(valueOf(batch, index)));
    }
  }
  return entries;
}

/** The same entries, as a bucket holds them: in the order of their keys. */
export function batchOfBucket(entries: ReadonlyMap<string, Buffer>): EntryBatch {
  const inOrder = [...entries].map(([key, value]) => [Buffer.from(key, 'latin1'), value] as const);
  return batchOf(inOrder.sort(([a], [b]) => Buffer.compare(a, b)));
}
