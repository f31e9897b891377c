import { Buffer } from 'node:buffer';
import { varintSize, writeVarint } from '../mvcc/varint.ts';

/** One field of a protobuf message: its number, and a varint or length-delimited bytes. */
export type Field = readonly [number: number, value: bigint | Uint8Array];

/** A message of exactly these fields, in this order, zeros written too (proto2, as etcd's WAL has it). */
export function encodeMessage(...fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(([number, value]) => encodeField(number, value)));
}

/** raft's ConfState of these voters; with `autoLeave` false written out, as etcd 3.5 and 3.6 do. */
export function encodeConfState(voters: readonly bigint[]): Buffer {
  return encodeMessage(...voters.map((id): Field => [1, id]), [5, 0n]);
}

function encodeField(number: number, value: bigint | Uint8Array): Buffer {
  if (typeof value === 'bigint') return Buffer.concat([varint(BigInt(number << 3)), varint(value)]);
  return Buffer.concat([varint(BigInt((number << 3) | 2)), varint(BigInt(value.length)), value]);
}

function varint(value: bigint): Buffer {
  const bytes = Buffer.alloc(varintSize(value));
  writeVarint(bytes, 0, value);
  return bytes;
}
