import { Buffer } from 'node:buffer';
import type { EntryBatchBuilder } from '../etcd/bolt/entry-batch.ts';
import { REVISION_KEY_SIZE, TOMBSTONE_KEY_SIZE, writeRevisionKey } from '../etcd/mvcc/revision.ts';
import { GuardianError } from '../guardian-error.ts';

/**
 * A batch is closed once it holds this many events, or this many bytes of values. Objects are written again and again:
 * measured on Kubernetes-like data, frames of 4 MiB take 14% fewer bytes than those of 1 MiB, of 8 MiB another 2%.
 */
export const BATCH_EVENTS = 4000;
export const BATCH_BYTES = 4 << 20;

/** What is read at most: bounds the memory that a hostile store can make us take. */
export const MAX_BATCH_EVENTS = 1 << 16;
export const MAX_BATCH_BYTES = 64 << 20;

/** The largest value that a batch can hold, with room for the events before it. */
export const MAX_VALUE_BYTES = MAX_BATCH_BYTES - 2 * BATCH_BYTES;

/** Where a batch stands in etcd's history. Below 2^53 and 2^32: no etcd counts further. */
export interface BatchPosition {
  readonly main: number;
  readonly sub: number;
}

/**
 * Collects events into a plain batch (docs/format.md, "Segments"): varint count and sub-revision of the first event; of
 * each event varint distance of its main revision to the one before, varint `size of value << 1 | tombstone`; then all
 * values. The values are gathered behind room for the rest, so that a whole batch is copied once only.
 */
export class BatchEncoder {
  count = 0;
  /** Bytes of keys and values, as etcd keeps them. */
  entryBytes = 0;
  private start: BatchPosition = { main: 0, sub: 0 };
  private lastMain = 0;
  private bytes: Buffer = Buffer.alloc(0);
  private end = HEAD_ROOM;
  private readonly distances = new Uint8Array(BATCH_EVENTS);
  private readonly sizes = new Uint32Array(BATCH_EVENTS);

  get isFull(): boolean {
    return this.count >= BATCH_EVENTS || this.end - HEAD_ROOM >= BATCH_BYTES;
  }

  /** Main revision of the first event. */
  get first(): number {
    return this.start.main;
  }

  /** `main` is that of the event before or the next; `sub` counts for the first event only. */
  add(main: number, sub: number, value: Uint8Array, tombstone: boolean): void {
    if (this.count === 0) {
      this.start = { main, sub };
      this.lastMain = main;
    }
    this.distances[this.count] = main - this.lastMain;
    this.sizes[this.count] = value.length * 2 + (tombstone ? 1 : 0);
    this.count++;
    this.lastMain = main;
    this.entryBytes += value.length + (tombstone ? TOMBSTONE_KEY_SIZE : REVISION_KEY_SIZE);
    const start = this.end;
    this.end += value.length;
    if (this.end > this.bytes.length) this.grow();
    this.bytes.set(value, start);
  }

  /** The batch, whose memory is the caller's from now on. `spare`: one taken before, to be used again for the next. */
  take(spare: Buffer | undefined): Buffer {
    const head = Buffer.allocUnsafe(HEAD_ROOM);
    let size = writeSmallVarint(head, 0, this.count);
    size = writeSmallVarint(head, size, this.start.sub);
    for (let index = 0; index < this.count; index++) {
      head[size++] = this.distances[index] ?? 0;
      size = writeSmallVarint(head, size, this.sizes[index] ?? 0);
    }
    head.copy(this.bytes, HEAD_ROOM - size, 0, size);
    const batch = this.bytes.subarray(HEAD_ROOM - size, this.end);
    this.bytes = spare === undefined ? Buffer.alloc(0) : Buffer.from(spare.buffer);
    this.end = HEAD_ROOM;
    this.count = 0;
    this.entryBytes = 0;
    return batch;
  }

  private grow(): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.end, 2 * this.bytes.length, FIRST_BYTES));
    this.bytes.copy(grown);
    this.bytes = grown;
  }
}

/** Two varints before the events, two for each. */
const HEAD_ROOM = 10 + 6 * BATCH_EVENTS;
const FIRST_BYTES = 1 << 17;

/**
 * Adds a batch's entries to `into`, with the keys that they have in bucket `key`, and returns the position of the last
 * one. The batch must hold `count` events and begin at main revision `first`, right behind `before`, without a gap
 * inside. Throws `repository.damaged` naming `what`, whatever the bytes are.
 */
export function decodeBatch(
  plain: Buffer,
  expected: { readonly count: number; readonly first: number; readonly before: BatchPosition },
  into: EntryBatchBuilder,
  what: string,
): BatchPosition {
  const reader = new SmallVarints(plain, what);
  const count = reader.next();
  if (count !== expected.count || count === 0) {
    throw damagedBatch(what, `a batch holds ${count} events, not the ${expected.count} that its head says`);
  }
  let main = expected.first;
  let sub = reader.next();
  checkFollows(expected.before, main, sub, what);

  let valueAt = endOfNumbers(plain, reader.at, 2 * count, what);
  for (let index = 0; index < count; index++) {
    const distance = reader.next();
    const packed = reader.next();
    if (index === 0 ? distance !== 0 : distance > 1) {
      throw damagedBatch(what, `a batch has a gap behind revision ${main}`);
    }
    if (distance === 1) {
      main++;
      sub = 0;
    } else if (index > 0) sub++;
    const tombstone = (packed & 1) === 1;
    const size = packed >>> 1;
    if (size > plain.length - valueAt)
      throw damagedBatch(what, `a batch ends within the value at ${main}.${sub}`);
    const start = into.reserve(tombstone ? TOMBSTONE_KEY_SIZE : REVISION_KEY_SIZE, size);
    const keyEnd = writeRevisionKey(into.bytes, start, main, sub, tombstone);
    plain.copy(into.bytes, keyEnd, valueAt, valueAt + size);
    valueAt += size;
  }
  if (valueAt !== plain.length) throw damagedBatch(what, `a batch goes on behind its last value`);
  return { main, sub };
}

function endOfNumbers(plain: Buffer, from: number, count: number, what: string): number {
  const reader = new SmallVarints(plain, what, from);
  for (let index = 0; index < count; index++) reader.next();
  return reader.at;
}

function checkFollows(before: BatchPosition, main: number, sub: number, what: string): void {
  const follows = (main === before.main + 1 && sub === 0) || (main === before.main && sub === before.sub + 1);
  if (follows) return;
  throw damagedBatch(what, `a batch at ${main}.${sub} doesn't follow ${before.main}.${before.sub}`);
}

/** Varints below 2^32, one after the other. */
class SmallVarints {
  at: number;
  private readonly bytes: Buffer;
  private readonly what: string;

  constructor(bytes: Buffer, what: string, at = 0) {
    this.bytes = bytes;
    this.what = what;
    this.at = at;
  }

  next(): number {
    const { bytes } = this;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[this.at++];
      if (byte === undefined) throw damagedBatch(this.what, 'a batch ends within its numbers');
      if (shift === 28 && byte > 0x0f) break;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw damagedBatch(this.what, 'a batch holds a number of more than 32 bits');
  }
}

function writeSmallVarint(bytes: Buffer, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 0x80) {
    bytes[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[end++] = rest;
  return end;
}

function damagedBatch(what: string, reason: string): GuardianError {
  return new GuardianError('repository.damaged', `${what} is damaged: ${reason}`, {
    hint: 'Restore points behind this segment need a later base; another copy of the object would do.',
  });
}
