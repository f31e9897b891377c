import { decodeKeyValue, type KeyValue } from '../mvcc/key-value.ts';
import { VarintReader } from '../mvcc/varint.ts';
import type { RangeResult, ResponseHeader, WatchEvent } from './etcd-client.ts';
import { decodeHeader, NO_HEADER } from './response-header.ts';

/** etcdserverpb.WatchResponse. */
export interface WatchReply {
  readonly header: ResponseHeader;
  /** -1n: the answer to a progress request, for all watches of the stream. */
  readonly watchId: bigint;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: bigint;
  readonly cancelReason: string;
  readonly fragment: boolean;
  readonly events: readonly WatchEvent[];
}

/**
 * etcdserverpb.RangeResponse. These two decoders see every key that a capture or a listing moves, so they slice the
 * message and share its memory, where a general one would copy. They throw at bytes that are no such message.
 */
export function decodeRangeReply(message: Buffer): RangeResult {
  let header = NO_HEADER;
  const kvs: KeyValue[] = [];
  let more = false;
  let count = 0n;
  for (const field of fieldsOf(message)) {
    if (field.number === 1) header = decodeHeader(field.bytes);
    else if (field.number === 2) kvs.push(decodeKeyValue(field.bytes));
    else if (field.number === 3) more = field.integer !== 0n;
    else if (field.number === 4) count = field.integer;
  }
  return { header, kvs, more, count };
}

export function decodeWatchReply(message: Buffer): WatchReply {
  let header = NO_HEADER;
  let watchId = 0n;
  let created = false;
  let canceled = false;
  let compactRevision = 0n;
  let cancelReason = '';
  let fragment = false;
  const events: WatchEvent[] = [];
  for (const field of fieldsOf(message)) {
    if (field.number === 1) header = decodeHeader(field.bytes);
    else if (field.number === 2) watchId = BigInt.asIntN(64, field.integer);
    else if (field.number === 3) created = field.integer !== 0n;
    else if (field.number === 4) canceled = field.integer !== 0n;
    else if (field.number === 5) compactRevision = BigInt.asIntN(64, field.integer);
    else if (field.number === 6) cancelReason = field.bytes.toString('utf8');
    else if (field.number === 7) fragment = field.integer !== 0n;
    else if (field.number === 11) events.push(decodeEvent(field.bytes));
  }
  return { header, watchId, created, canceled, compactRevision, cancelReason, fragment, events };
}

/** mvccpb.Event. */
function decodeEvent(message: Buffer): WatchEvent {
  let type: WatchEvent['type'] = 'put';
  let encoded: Buffer | undefined;
  let prevKv: KeyValue | undefined;
  for (const field of fieldsOf(message)) {
    if (field.number === 1) {
      if (field.integer > 1n) throw new Error(`an event of an unknown type, ${field.integer}`);
      type = field.integer === 0n ? 'put' : 'delete';
    } else if (field.number === 2) encoded = field.bytes;
    else if (field.number === 3) prevKv = decodeKeyValue(field.bytes);
  }
  if (encoded === undefined) throw new Error('an event without a key');
  return { type, kv: decodeKeyValue(encoded), encoded, prevKv };
}

interface Field {
  readonly number: number;
  /** Of a varint, unsigned; else 0n. */
  readonly integer: bigint;
  /** Of a length-delimited field; else empty. */
  readonly bytes: Buffer;
}

function* fieldsOf(message: Buffer): Generator<Field, undefined> {
  const reader = new VarintReader();
  const end = message.length;
  const none = message.subarray(0, 0);
  while (reader.at < end) {
    const start = reader.at;
    if (!reader.next(message, end)) throw cutOff();
    const number = reader.low >>> 3;
    const wireType = reader.low & 7;
    if (wireType === 0) {
      if (!reader.next(message, end)) throw cutOff();
      yield { number, integer: reader.uint64(), bytes: none };
    } else if (wireType === 2) {
      if (!reader.next(message, end)) throw cutOff();
      const from = reader.at;
      const to = from + reader.high * 0x1_0000_0000 + reader.low;
      if (to > end) throw cutOff();
      reader.at = to;
      yield { number, integer: 0n, bytes: message.subarray(from, to) };
    } else {
      reader.at = start;
      if (!reader.skipField(message, end)) throw cutOff();
    }
  }
}

function cutOff(): Error {
  return new Error('a field is cut off, or of a type that is not in use');
}
