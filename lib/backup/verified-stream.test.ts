import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import type { SnapshotStream } from '../etcd/client/etcd-client.ts';
import { type StreamProgress, verifiedStream } from './verified-stream.ts';

const MIB = 1 << 20;

/** A double of a member's stream: how it cuts its bytes is the input here. */
class Pieces implements SnapshotStream {
  readonly endpoint = 'http://m1:2379';
  readonly member = undefined;
  readonly totalBytes: number;
  readonly storageVersion = undefined;
  receivedBytes = 0;
  closed = false;
  readonly #pieces: readonly Uint8Array[];
  readonly #failure: Error | undefined;

  constructor(pieces: readonly Uint8Array[], failure?: Error) {
    this.#pieces = pieces;
    this.#failure = failure;
    this.totalBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for (const piece of this.#pieces) {
        this.receivedBytes += piece.length;
        yield await Promise.resolve(piece);
      }
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.closed = true;
    }
  }
}

/** Takes copies, as a verifier that is done with the bytes when `write` resolves. */
class Taker {
  readonly taken: Buffer[] = [];

  write(bytes: Uint8Array): Promise<void> {
    this.taken.push(Buffer.from(bytes));
    return Promise.resolve();
  }
}

/** A piece is valid until the next one is asked for. */
async function collected(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const piece of pieces) copies.push(Buffer.from(piece));
  return Buffer.concat(copies);
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

test('the verifier and whoever stores get the same bytes, however they came', async () => {
  const bytes = Buffer.from(seededRandom('stream').bytes(3 * MIB + 777));
  for (const size of [1000, MIB, 2 * MIB + 1, bytes.length]) {
    const taker = new Taker();
    const stored = await collected(verifiedStream(new Pieces(cut(bytes, size)), taker, () => undefined));
    assert.ok(stored.equals(bytes), `pieces of ${size}`);
    assert.ok(Buffer.concat(taker.taken).equals(bytes));
  }
});

test('nothing is handed out before the verifier has it', async () => {
  const taker = new Taker();
  let handedOut = 0;
  for await (const piece of verifiedStream(
    new Pieces(cut(Buffer.alloc(5 * MIB), MIB)),
    taker,
    () => undefined,
  )) {
    handedOut += piece.length;
    assert.equal(Buffer.concat(taker.taken).length, handedOut);
  }
});

test('progress is told with each piece', async () => {
  const told: StreamProgress[] = [];
  const snapshot = new Pieces(cut(Buffer.alloc(2 * MIB + 5), MIB));
  await collected(verifiedStream(snapshot, new Taker(), (progress) => told.push(progress)));
  assert.deepEqual(
    told,
    [MIB, 2 * MIB, 2 * MIB + 5].map((receivedBytes) => ({ receivedBytes, totalBytes: 2 * MIB + 5 })),
  );
});

test('an empty stream is empty', async () => {
  const taker = new Taker();
  assert.equal((await collected(verifiedStream(new Pieces([]), taker, () => undefined))).length, 0);
  assert.deepEqual(taker.taken, []);
});

test('whoever fails, the member’s stream is closed and the reason comes through', async () => {
  const broken = new Pieces([Buffer.alloc(2 * MIB)], new Error('the member is gone'));
  await assert.rejects(collected(verifiedStream(broken, new Taker(), () => undefined)), /member is gone/);
  const dead = { write: () => Promise.reject(new Error('the thread died')) };
  const refused = new Pieces([Buffer.alloc(2 * MIB)]);
  await assert.rejects(collected(verifiedStream(refused, dead, () => undefined)), /the thread died/);
  const left = new Pieces([Buffer.alloc(MIB), Buffer.alloc(MIB)]);
  for await (const piece of verifiedStream(left, new Taker(), () => undefined)) {
    assert.equal(piece.length, MIB);
    break;
  }
  assert.deepEqual([broken.closed, refused.closed, left.closed], [true, true, true]);
});
