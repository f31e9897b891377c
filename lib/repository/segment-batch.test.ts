import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { testRandom } from '../../test/harness/sampling.ts';
import { EntryBatchBuilder, keyOf, valueOf } from '../etcd/bolt/entry-batch.ts';
import { encodeRevisionKey } from '../etcd/mvcc/revision.ts';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { BATCH_BYTES, BATCH_EVENTS, BatchEncoder, decodeBatch } from './segment-batch.ts';

interface Event {
  readonly main: number;
  readonly sub: number;
  readonly tombstone: boolean;
  readonly value: Buffer;
}

const EVENTS: Event[] = [
  { main: 70_000_000_001, sub: 0, tombstone: false, value: Buffer.from('one') },
  { main: 70_000_000_002, sub: 0, tombstone: true, value: Buffer.from('two') },
  { main: 70_000_000_002, sub: 1, tombstone: false, value: Buffer.alloc(0) },
  { main: 70_000_000_002, sub: 2, tombstone: false, value: Buffer.alloc(300, 'x') },
  { main: 70_000_000_003, sub: 0, tombstone: false, value: Buffer.from('three') },
];
const EXPECTED = { count: 5, first: 70_000_000_001, before: { main: 70_000_000_000, sub: 9 } };

test('a batch gives back the entries of bucket `key`, in order', () => {
  const into = new EntryBatchBuilder(0);
  const last = decodeBatch(encode(EVENTS), EXPECTED, into, 'segment 1');
  assert.deepEqual(last, { main: 70_000_000_003, sub: 0 });
  assert.deepEqual(entriesOf(into), EVENTS.map(entryOf));
});

test('a batch may begin within a revision, where the one before ended', () => {
  const events = [5, 6, 7].map((sub) => ({ main: 9, sub, tombstone: false, value: Buffer.from([sub]) }));
  const into = new EntryBatchBuilder(0);
  const decode = (before: { main: number; sub: number }): unknown =>
    decodeBatch(encode(events), { count: 3, first: 9, before }, into, 'segment 1');
  assert.deepEqual(decode({ main: 9, sub: 4 }), { main: 9, sub: 7 });
  assert.deepEqual(entriesOf(into), events.map(entryOf));
  for (const before of [
    { main: 9, sub: 3 },
    { main: 9, sub: 5 },
    { main: 8, sub: 4 },
    { main: 8, sub: 0 },
  ]) {
    assert.throws(() => decode(before), /doesn't follow/);
  }
});

test('an encoder can be used again, with memory used before', () => {
  const encoder = new BatchEncoder();
  const batches: Buffer[] = [];
  for (let round = 0; round < 3; round++) {
    for (const { main, sub, value, tombstone } of EVENTS) encoder.add(main, sub, value, tombstone);
    batches.push(Buffer.from(encoder.take(round === 1 ? encoder.take(undefined) : undefined)));
  }
  for (const batch of batches.filter(({ length }) => length > 2)) assert.deepEqual(batch, encode(EVENTS));
});

test('a batch is full by its events or by its bytes', () => {
  const many = new BatchEncoder();
  for (let main = 1; main <= BATCH_EVENTS; main++) {
    assert.equal(many.isFull, false);
    many.add(main, 0, Buffer.from('value'), false);
  }
  assert.equal(many.isFull, true);
  const large = new BatchEncoder();
  large.add(1, 0, Buffer.alloc(BATCH_BYTES - 1), false);
  assert.equal(large.isFull, false);
  large.add(2, 0, Buffer.alloc(1), false);
  assert.equal(large.isFull, true);
  assert.equal(large.entryBytes, BATCH_BYTES + 2 * 17);
});

test('whatever the bytes are, a batch is decoded or refused with one clear error', () => {
  const random = testRandom('hostile batches');
  const sound = encode(EVENTS);
  const attempt = (bytes: Buffer): boolean => {
    const into = new EntryBatchBuilder(0);
    try {
      decodeBatch(bytes, EXPECTED, into, 'segment 1');
    } catch (error) {
      assert.ok(error instanceof GuardianError && hasCode(error, 'repository.damaged'), String(error));
      assert.match(error.message, /^segment 1 is damaged: a batch /);
      return false;
    }
    assert.equal(into.count, EVENTS.length);
    return true;
  };
  assert.equal(attempt(sound), true);
  for (let length = 0; length < sound.length; length++)
    assert.equal(attempt(sound.subarray(0, length)), false);
  assert.equal(attempt(Buffer.concat([sound, Buffer.alloc(1)])), false);
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(sound);
    for (let change = random.integer(1, 4); change > 0; change--) {
      bytes[random.integer(0, 20)] = random.pick([0, 1, 2, 0x7f, 0x80, 0xff, random.integer(0, 256)]);
    }
    attempt(bytes);
    attempt(Buffer.from(random.bytes(random.integer(0, 40))));
  }
});

function encode(events: readonly Event[]): Buffer {
  const encoder = new BatchEncoder();
  for (const { main, sub, value, tombstone } of events) encoder.add(main, sub, value, tombstone);
  return encoder.take(undefined);
}

function entriesOf(batch: EntryBatchBuilder): [string, string][] {
  return Array.from({ length: batch.count }, (_, index) => [
    keyOf(batch, index).toString('hex'),
    valueOf(batch, index).toString('hex'),
  ]);
}

function entryOf({ main, sub, tombstone, value }: Event): [string, string] {
  const key = encodeRevisionKey({ main: BigInt(main), sub: BigInt(sub) }, tombstone);
  return [key.toString('hex'), value.toString('hex')];
}
