import type { Buffer } from 'node:buffer';

/** Reads protobuf varints, one after the other, without allocating; for bytes that nobody vouches for. */
export class VarintReader {
  /** Where the next varint starts. */
  at = 0;
  /** The halves of the one last read, unsigned. */
  high = 0;
  low = 0;

  /** False at a varint that is cut off by `end` or longer than 64 bits; `at` has no meaning then. */
  next(bytes: Uint8Array, end: number): boolean {
    let at = this.at;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) return false;
      const byte = bytes[at++] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else if (byte > 1) return false;
      else high |= bits << 31;
      if (byte < 0x80) {
        this.at = at;
        this.low = low >>> 0;
        this.high = high >>> 0;
        return true;
      }
    }
    return false;
  }

  /** Moves past one whole field, tag included; false when it is cut off or of a wire type that is not in use. */
  skipField(bytes: Uint8Array, end: number): boolean {
    if (!this.next(bytes, end) || this.high !== 0 || this.low < 8) return false;
    const wireType = this.low & 7;
    if (wireType === 0) return this.next(bytes, end);
    if (wireType === 1) this.at += 8;
    else if (wireType === 5) this.at += 4;
    else if (wireType === 2) {
      if (!this.next(bytes, end)) return false;
      this.at += this.high * 0x1_0000_0000 + this.low;
    } else return false;
    return this.at <= end;
  }

  /** The one last read, as an int64. */
  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }

  uint64(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }
}

/** Bytes that `value` takes; negative ones take ten, as two's complement. */
export function varintSize(value: bigint): number {
  let rest = BigInt.asUintN(64, value);
  let size = 1;
  while (rest >= 0x80n) {
    rest >>= 7n;
    size++;
  }
  return size;
}

/** Writes the shortest form at `at` and returns its end. */
export function writeVarint(bytes: Buffer, at: number, value: bigint): number {
  let rest = BigInt.asUintN(64, value);
  let end = at;
  while (rest >= 0x80n) {
    bytes[end++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  bytes[end++] = Number(rest);
  return end;
}
