import { z } from 'zod';

/**
 * How values stand in the repository's JSON documents (docs/format.md, "Values"). 64-bit numbers are strings, because
 * JSON readers lose digits above 2^53; each codec gives the typed value on decoding and the canonical text on encoding.
 */

const int64 = z
  .bigint()
  .min(-(2n ** 63n))
  .max(2n ** 63n - 1n);

/** A signed 64-bit number in decimal, e.g. a revision; `-1` where etcd says "never". */
export const decimal64 = z.codec(z.string().regex(/^(?:0|-?[1-9][0-9]{0,18})$/), int64, {
  decode: (text) => BigInt(text),
  encode: (value) => value.toString(),
});

/** An id of etcd's: 16 lower-case hex digits of an unsigned 64-bit number. */
export const hex64 = z.codec(z.string().regex(/^[0-9a-f]{16}$/), z.bigint(), {
  decode: (text) => BigInt(`0x${text}`),
  encode: (value) => value.toString(16).padStart(16, '0'),
});

/** RFC 3339, UTC, milliseconds: `2026-11-22T05:30:00.000Z`. */
export const instant = z.codec(
  z.string().regex(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/),
  z.date(),
  { decode: (text) => new Date(text), encode: (value) => value.toISOString() },
);

export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
export const uint32 = z.int().min(0).max(0xffff_ffff);
/** A number of bytes or things. */
export const count = z.int().min(0);
/** Text for people, of a length that fits a line or two. */
export const words = z.string().max(1024);
