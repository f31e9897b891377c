import { Buffer } from 'node:buffer';
import { batchOf, type EntryBatch, EntryBatchBuilder, keyOf, valueOf } from '../bolt/entry-batch.ts';
import { type BoltFile, openBoltFile } from '../bolt/reader.ts';
import { type BucketSource, writeBoltFile } from '../bolt/writer.ts';
import { encodeRevisionKey } from './revision.ts';
import type { EntryMarks } from './survivors.ts';

/**
 * Writes a database anew as it is after a compaction at `revision`, that one finished: smaller by what the compaction
 * drops, and by all free pages. `kept` are the `survivors` of that very file. No sha256 trailer. Rejects as
 * `openBoltFile` and `writeBoltFile` do; nothing is left at `target` then.
 */
export async function writeCompacted(
  source: string,
  target: string,
  revision: bigint,
  kept: EntryMarks,
  signal?: AbortSignal,
): Promise<void> {
  await using file = await openBoltFile(source);
  const { pageSize, txid } = file.meta;
  await writeBoltFile(target, await compacted(file, revision, kept), {
    ...{ pageSize, txid: txid + 1n, trailer: false, signal },
  });
}

async function compacted(file: BoltFile, revision: bigint, kept: EntryMarks): Promise<BucketSource[]> {
  const marked = await withMarks(file, revision);
  return file.bucketNames.map((name) => {
    if (name === 'key') return { name, entries: keptEntries(file, kept) };
    return { name, entries: name === 'meta' ? [marked] : file.entries(name) };
  });
}

async function* keptEntries(file: BoltFile, kept: EntryMarks): AsyncGenerator<EntryBatch, void> {
  const left = new EntryBatchBuilder(2 ** 20);
  let nth = 0;
  for await (const batch of file.entries('key')) {
    left.clear();
    for (let index = 0; index < batch.count;) {
      let end = index;
      while (end < batch.count && kept.has(nth + end)) end++;
      left.addFrom(batch, index, end);
      index = end + 1;
    }
    nth += batch.count;
    if (left.count > 0) yield left;
  }
  if (nth !== kept.count) throw new Error(`${file.path} has ${nth} entries, not the ${kept.count} marked`);
}

/** Bucket `meta`, saying that the compaction is done. */
async function withMarks(file: BoltFile, revision: bigint): Promise<EntryBatch> {
  const mark = encodeRevisionKey({ main: revision, sub: 0n });
  const entries = new Map<string, Buffer>([
    ['finishedCompactRev', mark],
    ['scheduledCompactRev', mark],
  ]);
  for await (const batch of file.entries('meta')) {
    for (let index = 0; index < batch.count; index++) {
      const name = keyOf(batch, index).toString('latin1');
      if (!entries.has(name)) entries.set(name, Buffer.from(valueOf(batch, index)));
    }
  }
  const inOrder = [...entries].map(([name, value]) => [Buffer.from(name, 'latin1'), value] as const);
  return batchOf(inOrder.sort(([a], [b]) => Buffer.compare(a, b)));
}
