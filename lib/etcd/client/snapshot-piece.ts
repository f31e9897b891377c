import { VarintReader } from '../mvcc/varint.ts';

/** One message of a snapshot's stream: etcdserverpb.SnapshotResponse. */
export interface SnapshotPiece {
  /** Bytes of the database still to come after this piece, the digest not counted. */
  readonly remainingBytes: number;
  /** Shares the memory of the message. */
  readonly blob: Buffer;
  /** Empty before etcd 3.6. */
  readonly storageVersion: string;
}

const REMAINING_BYTES = 0x10;
const BLOB = 0x1a;
const VERSION = 0x22;

/**
 * Reads one message without copying its blob: this runs for every 32 KiB of a database. Throws at bytes that are no such
 * message.
 */
export function decodeSnapshotPiece(message: Buffer): SnapshotPiece {
  const reader = new VarintReader();
  const end = message.length;
  let remainingBytes = 0;
  let blob = message.subarray(0, 0);
  let storageVersion = '';
  while (reader.at < end) {
    const tag = message[reader.at];
    if (tag !== REMAINING_BYTES && tag !== BLOB && tag !== VERSION) {
      if (!reader.skipField(message, end)) throw cutOff();
      continue;
    }
    reader.at++;
    if (!reader.next(message, end)) throw cutOff();
    const number = reader.high * 0x1_0000_0000 + reader.low;
    if (tag === REMAINING_BYTES) {
      remainingBytes = number;
      continue;
    }
    const start = reader.at;
    if (number > end - start) throw cutOff();
    reader.at = start + number;
    if (tag === BLOB) blob = message.subarray(start, reader.at);
    else storageVersion = message.toString('utf8', start, reader.at);
  }
  return { remainingBytes, blob, storageVersion };
}

function cutOff(): Error {
  return new Error('not a SnapshotResponse: a field is cut off');
}
