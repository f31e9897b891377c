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
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new MalformedProtobuf('ends within a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new MalformedProtobuf('a number of more than ten bytes');
  };
  const skip = (length: bigint): Buffer => {
    if (length > BigInt(message.length - at)) throw new MalformedProtobuf('a field longer than the message');
    const bytes = message.subarray(at, at + Number(length));
    at += bytes.length;
    return bytes;
  };
  while (at < message.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    if (number < 1 || number > 0x1fff_ffff) throw new MalformedProtobuf(`field number ${number}`);
    switch (tag & 7n) {
      case 0n:
        yield { number, value: varint() };
        break;
      case 1n:
        skip(8n);
        break;
      case 2n:
        yield { number, value: skip(varint()) };
        break;
      case 5n:
        skip(4n);
        break;
      default:
        throw new MalformedProtobuf(`wire type ${tag & 7n}`);
    }
  }
}
