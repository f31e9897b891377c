import { createHash } from 'node:crypto';
import { type EntryBatch, EntryBatchBuilder } from '../etcd/bolt/entry-batch.ts';
import { TOMBSTONE_KEY_SIZE } from '../etcd/mvcc/revision.ts';
import type { StoredSegment } from './chain.ts';
import { unsealed } from './content.ts';
import { decompressFrames } from './decompress-frames.ts';
import { damagedDocument } from './document.ts';
import type { RepositorySettings } from './repository.ts';
import { type BatchPosition, decodeBatch } from './segment-batch.ts';
import { asSegmentProblem } from './segment-object.ts';

/** See `SegmentLog.read`. */
export function readSegment(
  settings: RepositorySettings,
  segment: StoredSegment,
  signal: AbortSignal | undefined,
): AsyncGenerator<EntryBatch, void> {
  return decoded(settings, segment, readStoredSegment(settings, segment, signal), signal);
}

/** The bytes behind the head. Rejects, at the latest at their end, when they are not what the head says. */
export async function* readStoredSegment(
  { store }: RepositorySettings,
  { name, size, head: { storedSize, sha256 } }: StoredSegment,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  const hash = createHash('sha256');
  const range = { offset: size - storedSize, length: storedSize };
  try {
    for await (const chunk of store.get(name, { range, signal })) {
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw asSegmentProblem(error, name);
  }
  if (hash.digest('hex') !== sha256) throw damagedDocument(name, 'its SHA-256 is not the one in its head');
}

async function* decoded(
  settings: RepositorySettings,
  { name, head }: StoredSegment,
  stored: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<EntryBatch, void> {
  const { cluster, timeline, recipients, from, to, puts } = head;
  const context = { cluster, timeline, object: name };
  const compressed = unsealed(settings, { name, recipients })?.open(stored, context, { signal }) ?? stored;
  const frames = decompressFrames(compressed, {
    plainSize: head.batches.reduce((sum, { plainSize }) => sum + plainSize, 0),
    frameSize: head.batches.reduce((largest, { plainSize }) => Math.max(largest, plainSize), 0),
    what: name,
  });
  const entries = new EntryBatchBuilder(0);
  let position: BatchPosition = { main: Number(from), sub: 0 };
  let [index, size, tombstones] = [0, 0, 0];
  for await (const plain of frames) {
    const batch = head.batches[index++];
    if (batch?.plainSize !== plain.length)
      throw damagedDocument(name, `its batch ${index} is not the one in its head`);
    entries.clear();
    const expected = { count: batch.events, first: Number(batch.first), before: position };
    position = decodeBatch(plain, expected, entries, name);
    size += entries.size;
    tombstones += tombstonesIn(entries);
    yield entries;
  }
  const isWhole =
    index === head.batches.length &&
    position.main === Number(to) &&
    size === head.plainSize &&
    head.events - tombstones === puts;
  if (!isWhole)
    throw damagedDocument(
      name,
      `it holds ${size} bytes up to revision ${position.main}, not what its head says`,
    );
}

function tombstonesIn({ count, keySizes }: EntryBatch): number {
  let tombstones = 0;
  for (let index = 0; index < count; index++) if (keySizes[index] === TOMBSTONE_KEY_SIZE) tombstones++;
  return tombstones;
}
