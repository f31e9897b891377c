import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWindow } from './byte-window.ts';
import { crc32c, crc32cOfRange, joinCrc32c, splitCrc32c } from './crc32c.ts';

const BYTES = Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 2654435761) >>> 21));
const WINDOW = new ByteWindow(BYTES);

test("the check value of the polynomial's standard", () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32cOfRange(new ByteWindow(Buffer.from('0123456789')), 1, 10, 0), 0xe3069283);
});

test('a range of any length, from any offset, has the CRC of its bytes', () => {
  for (let length = 0; length < 600; length++) {
    for (const start of [0, 1, 7]) {
      const expected = crc32c(BYTES.subarray(start, start + length), 77);
      assert.equal(crc32cOfRange(WINDOW, start, start + length, 77), expected, `${start}+${length}`);
    }
  }
});

test('the CRCs of two pieces give that of both, and back', () => {
  for (const length of [0, 1, 2, 255, 256, 4096, 4999]) {
    const first = crc32c(BYTES.subarray(0, BYTES.length - length));
    const second = crc32c(BYTES.subarray(BYTES.length - length));
    const both = crc32c(BYTES);
    assert.equal(joinCrc32c(first, second, length), both, `${length}`);
    assert.equal(splitCrc32c(both, first, length), second, `${length}`);
  }
});

test('lengths beyond every table are joined too', () => {
  const zeros = Buffer.alloc((1 << 20) + 3);
  assert.equal(joinCrc32c(crc32c(BYTES), crc32c(zeros), zeros.length), crc32c(zeros, crc32c(BYTES)));
});

test('a window over a part of a larger buffer sees that part', () => {
  const part = new ByteWindow(new Uint8Array(BYTES.buffer, BYTES.byteOffset + 10, 100));
  assert.equal(crc32cOfRange(part, 0, 100, 0), crc32c(BYTES.subarray(10, 110)));
});
