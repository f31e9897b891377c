import { Buffer } from 'node:buffer';
import { type WireField, wireFields } from './protobuf-fields.ts';

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

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value >>> 0;
  while (left > 0x7f) {
    bytes.push((left & 0x7f) | 0x80);
    left >>>= 7;
  }
  return Buffer.from([...bytes, left]);
}
