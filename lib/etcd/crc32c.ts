import { crc32c as native } from '@node-rs/crc32';
import type { ByteWindow } from './byte-window.ts';

/*
 * CRC-32C (Castagnoli): etcd's hashes, WAL and .snap files. All values are final ones, as in `crc32c("123456789") ===
 * 0xe3069283`, and go back in as `seed` to continue.
 */

/** Of all `bytes`, continuing `seed`. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return native(bytes, seed);
}

/** Below this length the table is faster than a call into native code, which costs about 100 ns (measured). */
const SHORT = 256;

/** Of bytes [start, end), continuing `seed`. */
export function crc32cOfRange(window: ByteWindow, start: number, end: number, seed: number): number {
  if (end - start >= SHORT) return native(window.bytes.subarray(start, end), seed);
  const view = window.view;
  let crc = ~seed;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    crc ^= view.getInt32(at, true);
    const next = view.getInt32(at + 4, true);
    crc =
      step(1792 + (crc & 255)) ^
      step(1536 + ((crc >>> 8) & 255)) ^
      step(1280 + ((crc >>> 16) & 255)) ^
      step(1024 + (crc >>> 24)) ^
      step(768 + (next & 255)) ^
      step(512 + ((next >>> 8) & 255)) ^
      step(256 + ((next >>> 16) & 255)) ^
      step(next >>> 24);
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ step((crc ^ view.getUint8(at)) & 255);
  return ~crc >>> 0;
}

/** Of first ‖ second, from the CRCs of both and the second's length in bytes. */
export function joinCrc32c(first: number, second: number, secondLength: number): number {
  return (multiply(shift(secondLength), first) ^ second) >>> 0;
}

/** Of second alone, from the CRCs of first ‖ second and of first: joining is linear, so it undoes itself. */
export function splitCrc32c(both: number, first: number, secondLength: number): number {
  return joinCrc32c(first, both, secondLength);
}

// x^32 + … + 1 without its leading term, bits reflected: the top bit is x^0.
const POLYNOMIAL = 0x82f63b78;

// Eight tables: TABLE[256 * n + byte] is the CRC step of a byte that n further bytes follow.
const TABLE = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  TABLE[byte] = crc;
}
for (let at = 256; at < TABLE.length; at++) {
  const crc = step(at - 256);
  TABLE[at] = (crc >>> 8) ^ step(crc & 255);
}

function step(at: number): number {
  return TABLE[at] ?? 0;
}

/** The product of two polynomials modulo POLYNOMIAL. */
function multiply(a: number, b: number): number {
  let product = 0;
  let power = b;
  for (let rest = a | 0; rest !== 0; rest <<= 1) {
    product ^= power & (rest >> 31);
    power = (power >>> 1) ^ (POLYNOMIAL & -(power & 1));
  }
  return product >>> 0;
}

// x^(2^n); the order of x divides 2^32 - 1, so 32 of them suffice.
const POWERS: number[] = [0x40000000];
for (let n = 1; n < 32; n++) {
  const half = POWERS[n - 1] ?? 0;
  POWERS.push(multiply(half, half));
}

const KNOWN_SHIFTS = new Uint32Array(1 << 14);

/** x^(8 × length): what `length` more bytes multiply a CRC by. */
function shift(length: number): number {
  const known = KNOWN_SHIFTS[length];
  if (known !== undefined && known !== 0) return known;
  let product = 0x80000000;
  let rest = length;
  for (let n = 3; rest > 0; n++) {
    if (rest % 2 === 1) product = multiply(POWERS[n % 32] ?? 0, product);
    rest = Math.floor(rest / 2);
  }
  if (length < KNOWN_SHIFTS.length) KNOWN_SHIFTS[length] = product;
  return product;
}
