import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { EntryBatchBuilder, keyOf, valueOf } from '../../etcd/bolt/entry-batch.ts';
import { readMain, TOMBSTONE_KEY_SIZE } from '../../etcd/mvcc/revision.ts';
import type { SegmentDraft } from '../../repository/chain.ts';
import { decodeBatch } from '../../repository/segment-batch.ts';
import { startSegment } from '../../repository/start-segment.ts';

/**
 * The same draft without its events up to `after`, which lies within it: another writer's segment holds them. Leases,
 * proofs and times stay as they were found out.
 */
export async function trimDraft(draft: SegmentDraft, after: bigint): Promise<SegmentDraft> {
  const { facts, frames } = draft;
  const { leases, proofs, clockSteps, gap } = facts;
  const builder = startSegment({ from: after, writer: facts.writer, clock: () => facts.openedAt });
  const entries = new EntryBatchBuilder(1 << 20);
  let before = { main: Number(draft.from), sub: 0 };
  for (const [index, { events: count, first, plainSize }] of facts.batches.entries()) {
    const plain = await decompress(frames[index] ?? Buffer.alloc(0), { maxOutputLength: plainSize });
    entries.clear();
    before = decodeBatch(plain, { count, first: Number(first), before }, entries, 'a segment that waits');
    for (let at = 0; at < entries.count; at++) {
      const main = BigInt(readMain(entries.bytes, entries.keyStarts[at] ?? 0));
      if (main <= after) continue;
      builder.add(main, valueOf(entries, at), keyOf(entries, at).length === TOMBSTONE_KEY_SIZE);
    }
    await builder.settled();
  }
  builder.endRevision();
  const trimmed = await builder.finish({ leases, proofs, clockSteps, gap });
  const times = facts.times.filter(([revision]) => revision > after);
  return { ...trimmed, facts: { ...trimmed.facts, times } };
}

const decompress = promisify(zstdDecompress);
