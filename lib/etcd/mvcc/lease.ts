import { Buffer } from 'node:buffer';
import { VarintReader, varintSize, writeVarint } from './varint.ts';

/** An entry of bucket `lease`: etcd's leasepb.Lease. */
export interface Lease {
  /** Any 64-bit value but 0. */
  readonly id: bigint;
  /** Seconds granted. */
  readonly ttlSeconds: bigint;
  /** Seconds left at the last checkpoint; 0 where checkpoints are not persisted, which is the default everywhere. */
  readonly remainingSeconds: bigint;
}

/** The key of a lease in bucket `lease`: its id as int64, big-endian. */
export function encodeLeaseKey(id: bigint): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigInt64BE(id);
  return key;
}

/** Undefined when the bytes are not a lease record. */
export function decodeLease(bytes: Uint8Array): Lease | undefined {
  const reader = new VarintReader();
  let id = 0n;
  let ttlSeconds = 0n;
  let remainingSeconds = 0n;
  while (reader.at < bytes.length) {
    const tag = bytes[reader.at];
    if (tag !== 0x08 && tag !== 0x10 && tag !== 0x18) {
      if (!reader.skipField(bytes, bytes.length)) return undefined;
      continue;
    }
    reader.at++;
    if (!reader.next(bytes, bytes.length)) return undefined;
    if (tag === 0x08) id = reader.int64();
    else if (tag === 0x10) ttlSeconds = reader.int64();
    else remainingSeconds = reader.int64();
  }
  return { id, ttlSeconds, remainingSeconds };
}

export function encodeLease({ id, ttlSeconds, remainingSeconds }: Lease): Buffer {
  const fields = [
    [0x08, id],
    [0x10, ttlSeconds],
    [0x18, remainingSeconds],
  ] as const;
  const present = fields.filter(([, value]) => value !== 0n);
  const bytes = Buffer.alloc(present.reduce((size, [, value]) => size + 1 + varintSize(value), 0));
  let at = 0;
  for (const [tag, value] of present) {
    bytes[at] = tag;
    at = writeVarint(bytes, at + 1, value);
  }
  return bytes;
}
