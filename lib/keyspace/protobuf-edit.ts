import { Buffer } from 'node:buffer';
import { MalformedProtobuf } from './protobuf-fields.ts';

/** One field with its bytes as they stand. */
export interface WireField {
  readonly number: number;
  /** Tag and all. */
  readonly raw: Buffer;
  /** What a length-delimited field holds; undefined for numbers. */
  readonly content: Buffer | undefined;
  /** Of a varint; else undefined. */
  readonly integer: bigint | undefined;
}

/** What becomes of a field: bytes stand in its place, whole. */
export type Edit = (field: WireField) => 'keep' | 'drop' | Buffer;

/**
 * The message with some of its fields changed; everything else, known or not, stays byte by byte. Throws
 * `MalformedProtobuf`.
 */
export function editMessage(
  message: Buffer,
  edits: ReadonlyMap<number, Edit>,
  appended: readonly Buffer[] = [],
): Buffer {
  const pieces: Buffer[] = [];
  for (const field of wireFields(message)) {
    const edited = edits.get(field.number)?.(field) ?? 'keep';
    if (edited === 'keep') pieces.push(field.raw);
    else if (edited !== 'drop') pieces.push(edited);
  }
  return Buffer.concat([...pieces, ...appended]);
}

/** A length-delimited field as it is written. */
export function bytesField(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
}

/** Also gives fixed-width fields, as neither content nor integer. Copies nothing. Throws `MalformedProtobuf`. */
export function* wireFields(message: Buffer): Generator<WireField, void> {
  let at = 0;
  const number64 = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new MalformedProtobuf('ends within a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new MalformedProtobuf('a number of more than ten bytes');
  };
  const bytes = (length: bigint): Buffer => {
    if (length > BigInt(message.length - at)) throw new MalformedProtobuf('a field longer than the message');
    const content = message.subarray(at, at + Number(length));
    at += content.length;
    return content;
  };
  while (at < message.length) {
    const start = at;
    const tag = number64();
    const number = Number(tag >> 3n);
    if (number < 1 || number > 0x1fff_ffff) throw new MalformedProtobuf(`field number ${number}`);
    const wireType = tag & 7n;
    const integer = wireType === 0n ? number64() : undefined;
    const content = wireType === 2n ? bytes(number64()) : undefined;
    if (wireType === 1n) bytes(8n);
    else if (wireType === 5n) bytes(4n);
    else if (integer === undefined && content === undefined)
      throw new MalformedProtobuf(`wire type ${wireType}`);
    yield { number, raw: message.subarray(start, at), content, integer };
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value >>> 0;
  while (left > 0x7f) {
    bytes.push((left & 0x7f) | 0x80);
    left >>>= 7;
  }
  return Buffer.from([...bytes, left]);
}
