/** One field of a protobuf message: what it holds lies in `bytes` for length-delimited ones, in `number` for varints. */
export interface ProtobufField {
  readonly number: number;
  readonly value: Buffer | bigint;
}

/** Thrown for bytes that are no protobuf message. */
export class MalformedProtobuf extends Error {}

/**
 * The fields of a message in their order. Only varints and length-delimited fields are given, which is all that
 * Kubernetes' metadata uses; fixed-width ones are passed over. Copies nothing. Throws `MalformedProtobuf`.
 */
export function* protobufFields(message: Buffer): Generator<ProtobufField> {
  for (const { number, content, integer } of wireFields(message)) {
    const value = content ?? integer;
    if (value !== undefined) yield { number, value };
  }
}

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
