import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { TestClock } from '../../test/harness/repository.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { EntryBatchBuilder, keyOf } from '../etcd/bolt/entry-batch.ts';
import { decodeRevisionKey } from '../etcd/mvcc/revision.ts';
import { hasCode } from '../guardian-error.ts';
import type { SegmentDraft } from './chain.ts';
import { decodeBatch } from './segment-batch.ts';
import { startSegment } from './start-segment.ts';

const WRITER = { id: 7n, kind: 'capture', sealIntervalMs: 1000 } as const;
const NOTHING_MORE = { leases: { complete: false, granted: [], gone: [] }, proofs: [] };
const VALUE = Buffer.from('value');

test('what was added is in the draft: events, order within a revision, sizes, times', async () => {
  const clock = new TestClock(new Date('2026-11-22T05:30:00Z'));
  const builder = startSegment({ from: 41n, writer: WRITER, clock: clock.read });
  const before = builder.firstAt;
  assert.equal(before, undefined);
  clock.advance(500);
  builder.add(42n, VALUE, false);
  builder.add(42n, VALUE, true);
  assert.deepEqual([builder.to, builder.isOpen], [41n, true]);
  builder.endRevision();
  assert.deepEqual([builder.to, builder.isOpen], [42n, false]);
  clock.advance(1000);
  builder.endRevision();
  builder.add(43n, VALUE, false);
  builder.add(44n, VALUE, false);
  builder.endRevision();
  assert.deepEqual([builder.events, builder.plainSize], [4, 4 * 5 + 3 * 17 + 18]);
  assert.equal(builder.firstAt?.toISOString(), '2026-11-22T05:30:00.500Z');

  const draft = await builder.finish(NOTHING_MORE);
  assert.deepEqual([draft.from, draft.to], [41n, 44n]);
  const { batches, times, openedAt, ...facts } = draft.facts;
  assert.deepEqual(facts, {
    writer: WRITER,
    events: 4,
    puts: 3,
    plainSize: 89,
    ...{ gap: undefined, clockSteps: undefined },
    ...NOTHING_MORE,
  });
  assert.equal(openedAt.toISOString(), '2026-11-22T05:30:00.000Z');
  assert.deepEqual(
    times.map(([revision, at]) => [revision, at.toISOString().slice(17)]),
    [
      [42n, '00.500Z'],
      [44n, '01.500Z'],
    ],
  );
  const [frame] = draft.frames;
  assert.deepEqual(batches, [{ events: 4, size: frame?.length, plainSize: 4 * 5 + 10, first: 42n }]);
  assert.deepEqual(revisionsOf(draft), ['42.0', '42.1t', '43.0', '44.0']);
});

test('many batches are compressed as they fill, also within one revision, and keep their order', async () => {
  const random = testRandom('batches');
  const builder = startSegment({ from: 9n, writer: WRITER, clock: () => new Date() });
  const expected: string[] = [];
  for (let sub = 0; sub < 12_345; sub++) {
    builder.add(10n, random.bytes(random.pick([0, 20, 500])), false);
    expected.push(`10.${sub}`);
  }
  for (let main = 11; main <= 20; main++) {
    builder.add(BigInt(main), Buffer.alloc(1 << 20, main), false);
    expected.push(`${main}.0`);
    await builder.settled();
  }
  builder.endRevision();
  const plainHeld = builder.plainSize - 10 * (1 << 20);
  await builder.settled(0);
  assert.ok(builder.heldBytes < plainHeld + 3 * (1 << 20), `${builder.heldBytes} of ${builder.plainSize}`);
  const draft = await builder.finish(NOTHING_MORE);
  assert.equal(draft.frames.length, 6);
  assert.deepEqual(revisionsOf(draft), expected);
});

test('revisions that are missing or come again are refused, and change nothing', async () => {
  const builder = startSegment({ from: 9n, writer: WRITER, clock: () => new Date() });
  const attempt = (main: bigint) => () => {
    builder.add(main, VALUE, false);
  };
  await assert.rejects(builder.finish(NOTHING_MORE), (error) => hasCode(error, 'capture.no-events'));
  assert.throws(attempt(11n), (error) => hasCode(error, 'capture.revision-gap'));
  assert.throws(attempt(9n), (error) => hasCode(error, 'capture.revision-repeated'));
  builder.add(10n, VALUE, false);
  assert.throws(attempt(12n), (error) => hasCode(error, 'capture.revision-gap'));
  assert.throws(attempt(9n), (error) => hasCode(error, 'capture.revision-repeated'));
  await assert.rejects(builder.finish(NOTHING_MORE), (error) => hasCode(error, 'capture.revision-open'));
  builder.endRevision();
  assert.throws(attempt(10n), (error) => hasCode(error, 'capture.revision-repeated'));
  assert.deepEqual(revisionsOf(await builder.finish(NOTHING_MORE)), ['10.0']);
});

function revisionsOf({ from, facts, frames }: SegmentDraft): string[] {
  const entries = new EntryBatchBuilder(0);
  let before = { main: Number(from), sub: 0 };
  for (const [index, { events: count, first }] of facts.batches.entries()) {
    const plain = zstdDecompressSync(frames[index] ?? Buffer.alloc(0));
    before = decodeBatch(plain, { count, first: Number(first), before }, entries, 'the draft');
  }
  return Array.from({ length: entries.count }, (_, index) => {
    const { main, sub, tombstone } = decodeRevisionKey(keyOf(entries, index)) ?? {};
    return `${main}.${sub}${tombstone === true ? 't' : ''}`;
  });
}
