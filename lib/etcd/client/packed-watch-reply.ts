import { Buffer } from 'node:buffer';
import { KeyValueFields } from '../mvcc/key-value.ts';
import { VarintReader, varintSize } from '../mvcc/varint.ts';
import type { WatchReply } from './key-value-replies.ts';
import type { PackedEvents } from './packed-events.ts';
import { decodeHeader, NO_HEADER } from './response-header.ts';

/** etcdserverpb.WatchResponse. */
export interface PackedWatchReply extends Omit<WatchReply, 'events'> {
  readonly events: PackedEvents;
}

/** Decodes the messages of one watch. Throws at bytes that are no WatchResponse of etcd's. */
export class PackedWatchDecoder {
  private readonly events = new GrowingEvents();
  private readonly reader = new VarintReader();
  private readonly keyValue = new KeyValueFields();

  decode(message: Buffer): PackedWatchReply {
    const { reader, events } = this;
    const end = message.length;
    events.begin(message);
    let header = NO_HEADER;
    let watchId = 0n;
    let created = false;
    let canceled = false;
    let compactRevision = 0n;
    let cancelReason = '';
    let fragment = false;
    reader.at = 0;
    while (reader.at < end) {
      const tag = message[reader.at] ?? 0;
      if (!TAGS.has(tag)) {
        if (!reader.skipField(message, end)) throw cutOff();
        continue;
      }
      reader.at++;
      if (!reader.next(message, end)) throw cutOff();
      if (tag === EVENTS || tag === HEADER || tag === CANCEL_REASON) {
        const start = reader.at;
        const fieldEnd = start + reader.high * 0x1_0000_0000 + reader.low;
        if (fieldEnd > end) throw cutOff();
        if (tag === EVENTS) this.addEvent(message, start, fieldEnd);
        else if (tag === HEADER) header = decodeHeader(message.subarray(start, fieldEnd));
        else cancelReason = message.toString('utf8', start, fieldEnd);
        reader.at = fieldEnd;
      } else if (tag === WATCH_ID) watchId = reader.int64();
      else if (tag === COMPACT_REVISION) compactRevision = reader.int64();
      else {
        const set = reader.low !== 0;
        if (tag === CREATED) created = set;
        else if (tag === CANCELED) canceled = set;
        else fragment = set;
      }
    }
    return { header, watchId, created, canceled, compactRevision, cancelReason, fragment, events };
  }

  /** mvccpb.Event in bytes[start, end). */
  private addEvent(bytes: Buffer, start: number, end: number): void {
    const { reader } = this;
    let tombstone = false;
    let from = -1;
    let to = -1;
    reader.at = start;
    while (reader.at < end) {
      const tag = bytes[reader.at] ?? 0;
      if (tag !== EVENT_TYPE && tag !== EVENT_KEY_VALUE) {
        if (!reader.skipField(bytes, end)) throw cutOff();
        continue;
      }
      reader.at++;
      if (!reader.next(bytes, end)) throw cutOff();
      const number = reader.high * 0x1_0000_0000 + reader.low;
      if (tag === EVENT_TYPE) {
        if (number > 1) throw new Error(`an event of an unknown type, ${number}`);
        tombstone = number === 1;
        continue;
      }
      from = reader.at;
      to = from + number;
      if (to > end) throw cutOff();
      reader.at = to;
    }
    if (from < 0) throw new Error('an event without a key');
    this.addKeyValue(bytes, from, to, tombstone);
  }

  private addKeyValue(bytes: Buffer, from: number, to: number, tombstone: boolean): void {
    const { keyValue } = this;
    if (!keyValue.read(bytes, from, to)) throw cutOff();
    const { keyStart, keyEnd, modRevision } = keyValue;
    if (!Number.isSafeInteger(modRevision) || modRevision === 0) {
      throw new Error(`an event of revision ${modRevision}`);
    }
    // What follows the key of a deletion is its revision, which bucket `key` doesn't hold.
    if (tombstone && keyStart - from !== 1 + varintSize(BigInt(keyEnd - keyStart))) {
      throw new Error(`the deletion at revision ${modRevision} doesn't begin with its key`);
    }
    this.events.add(keyValue, tombstone, from, tombstone ? keyEnd : to);
  }
}

const HEADER = 0x0a;
const WATCH_ID = 0x10;
const CREATED = 0x18;
const CANCELED = 0x20;
const COMPACT_REVISION = 0x28;
const CANCEL_REASON = 0x32;
const FRAGMENT = 0x38;
const EVENTS = 0x5a;
const TAGS = new Set([
  ...[HEADER, WATCH_ID, CREATED, CANCELED, COMPACT_REVISION, CANCEL_REASON, FRAGMENT, EVENTS],
]);
const EVENT_TYPE = 0x08;
const EVENT_KEY_VALUE = 0x12;

function cutOff(): Error {
  return new Error('a field is cut off, or of a type that is not in use');
}

class GrowingEvents implements PackedEvents {
  bytes: Buffer = Buffer.alloc(0);
  count = 0;
  revisions = new Float64Array(64);
  tombstones = new Uint8Array(64);
  starts = new Uint32Array(64);
  ends = new Uint32Array(64);
  leaseHighs = new Uint32Array(64);
  leaseLows = new Uint32Array(64);

  begin(bytes: Buffer): void {
    this.bytes = bytes;
    this.count = 0;
  }

  add(keyValue: KeyValueFields, tombstone: boolean, start: number, end: number): void {
    const at = this.count++;
    if (at === this.revisions.length) this.grow();
    this.revisions[at] = keyValue.modRevision;
    this.tombstones[at] = tombstone ? 1 : 0;
    this.starts[at] = start;
    this.ends[at] = end;
    this.leaseHighs[at] = keyValue.leaseHigh;
    this.leaseLows[at] = keyValue.leaseLow;
  }

  private grow(): void {
    const size = 2 * this.revisions.length;
    const grown = (old: Uint32Array): Uint32Array<ArrayBuffer> => {
      const larger = new Uint32Array(size);
      larger.set(old);
      return larger;
    };
    const revisions = new Float64Array(size);
    revisions.set(this.revisions);
    this.revisions = revisions;
    const tombstones = new Uint8Array(size);
    tombstones.set(this.tombstones);
    this.tombstones = tombstones;
    this.starts = grown(this.starts);
    this.ends = grown(this.ends);
    this.leaseHighs = grown(this.leaseHighs);
    this.leaseLows = grown(this.leaseLows);
  }
}
