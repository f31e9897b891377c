import { Buffer } from 'node:buffer';
import { GuardianError } from '../../guardian-error.ts';
import { VarintReader, varintSize, writeVarint } from './varint.ts';

/** One version of a user's key: etcd's mvccpb.KeyValue. A tombstone holds only `key`; a bump record nothing at all. */
export interface KeyValue {
  readonly key: Buffer;
  /** Main revision of the first put of this life of the key; 0 in a tombstone. */
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  /** Puts since the key was created: 1 for the first. */
  readonly version: bigint;
  readonly value: Buffer;
  /** Lease id, any 64-bit value; 0 when there is none. */
  readonly lease: bigint;
}

/** Where the fields of a KeyValue lie, for hot paths: one object serves millions of records. */
export class KeyValueFields {
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  /** Revisions and version as numbers: exact below 2^53, and far beyond any revision when negative on the wire. */
  createRevision = 0;
  modRevision = 0;
  version = 0;
  /** The lease id's halves; both 0 when there is none. */
  leaseHigh = 0;
  leaseLow = 0;

  private readonly reader = new VarintReader();

  /**
   * Reads the record in bytes[start, end). False when it is not a KeyValue: what protobuf itself would refuse. Unknown
   * fields are skipped and a field given twice counts once, the last time, as in every protobuf reader. Offsets are
   * into `bytes`.
   */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    this.keyStart = this.keyEnd = this.valueStart = this.valueEnd = start;
    this.createRevision = this.modRevision = this.version = this.leaseHigh = this.leaseLow = 0;
    const reader = this.reader;
    reader.at = start;
    while (reader.at < end) {
      const tag = bytes[reader.at] ?? 0;
      if (tag !== 0x0a && tag !== 0x2a && tag !== 0x10 && tag !== 0x18 && tag !== 0x20 && tag !== 0x30) {
        if (!reader.skipField(bytes, end)) return false;
        continue;
      }
      reader.at++;
      if (!reader.next(bytes, end)) return false;
      const number = reader.high * 0x1_0000_0000 + reader.low;
      if (tag === 0x0a || tag === 0x2a) {
        const from = reader.at;
        if (number > end - from) return false;
        reader.at = from + number;
        if (tag === 0x0a) {
          this.keyStart = from;
          this.keyEnd = reader.at;
        } else {
          this.valueStart = from;
          this.valueEnd = reader.at;
        }
      } else if (tag === 0x10) this.createRevision = number;
      else if (tag === 0x18) this.modRevision = number;
      else if (tag === 0x20) this.version = number;
      else {
        this.leaseHigh = reader.high;
        this.leaseLow = reader.low;
      }
    }
    return true;
  }

  get lease(): bigint {
    return BigInt.asIntN(64, (BigInt(this.leaseHigh) << 32n) | BigInt(this.leaseLow));
  }
}

/** Rejects with `mvcc.corrupt`. The result's `key` and `value` share the memory of `bytes`. */
export function decodeKeyValue(bytes: Buffer): KeyValue {
  const fields = new KeyValueFields();
  if (
    !fields.read(bytes, 0, bytes.length) ||
    !Number.isSafeInteger(fields.createRevision) ||
    !Number.isSafeInteger(fields.modRevision) ||
    !Number.isSafeInteger(fields.version)
  ) {
    throw new GuardianError('mvcc.corrupt', `a record of ${bytes.length} bytes is not an mvccpb.KeyValue`);
  }
  return {
    key: bytes.subarray(fields.keyStart, fields.keyEnd),
    createRevision: BigInt(fields.createRevision),
    modRevision: BigInt(fields.modRevision),
    version: BigInt(fields.version),
    value: bytes.subarray(fields.valueStart, fields.valueEnd),
    lease: fields.lease,
  };
}

/** The one canonical form: what every etcd writes for this record, byte for byte. */
export function encodeKeyValue(record: KeyValue): Buffer {
  const bytes = Buffer.allocUnsafe(keyValueSize(record));
  let at = writeBytesField(bytes, 0, 0x0a, record.key);
  at = writeIntegerField(bytes, at, 0x10, record.createRevision);
  at = writeIntegerField(bytes, at, 0x18, record.modRevision);
  at = writeIntegerField(bytes, at, 0x20, record.version);
  at = writeBytesField(bytes, at, 0x2a, record.value);
  writeIntegerField(bytes, at, 0x30, record.lease);
  return bytes;
}

/** What a tombstone's record holds: the key alone. */
export function encodeTombstone(key: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(bytesFieldSize(key));
  writeBytesField(bytes, 0, 0x0a, key);
  return bytes;
}

function keyValueSize(record: KeyValue): number {
  return (
    bytesFieldSize(record.key) +
    integerFieldSize(record.createRevision) +
    integerFieldSize(record.modRevision) +
    integerFieldSize(record.version) +
    bytesFieldSize(record.value) +
    integerFieldSize(record.lease)
  );
}

function bytesFieldSize(value: Uint8Array): number {
  return value.length === 0 ? 0 : 1 + varintSize(BigInt(value.length)) + value.length;
}

function integerFieldSize(value: bigint): number {
  return value === 0n ? 0 : 1 + varintSize(value);
}

function writeBytesField(bytes: Buffer, at: number, tag: number, value: Uint8Array): number {
  if (value.length === 0) return at;
  bytes[at] = tag;
  const start = writeVarint(bytes, at + 1, BigInt(value.length));
  bytes.set(value, start);
  return start + value.length;
}

function writeIntegerField(bytes: Buffer, at: number, tag: number, value: bigint): number {
  if (value === 0n) return at;
  bytes[at] = tag;
  return writeVarint(bytes, at + 1, value);
}
