import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UserKeyHash } from './user-key-hash.ts';

const BYTES = Buffer.from(Array.from({ length: 64 }, (_, at) => at));
const VIEW = new DataView(BYTES.buffer, BYTES.byteOffset, BYTES.byteLength);

test("HalfSipHash-2-4 gives its authors' vectors", () => {
  const hash = new UserKeyHash(BYTES.subarray(0, 8), { compression: 2, finalization: 4 });
  const vectors = ['218d1f59b9b83cc8', 'be552412f8387315', '064f39ef7c50eb57'];
  for (const [length, expected] of vectors.entries()) {
    hash.hash(VIEW, 0, length);
    const output = Buffer.alloc(8);
    output.writeInt32LE(hash.first, 0);
    output.writeInt32LE(hash.second, 4);
    assert.equal(output.toString('hex'), expected);
  }
});

test('equal keys hash equally at any offset, other keys and other lengths differently', () => {
  const hash = new UserKeyHash();
  const seen = new Set<string>();
  for (let start = 0; start < 40; start++) {
    for (let end = start; end <= 64; end++) {
      hash.hash(VIEW, start, end);
      seen.add(`${hash.first} ${hash.second}`);
    }
  }
  // Of the ranges above, only the empty ones are equal.
  assert.equal(seen.size, Array.from({ length: 40 }, (_, start) => 64 - start).reduce((a, b) => a + b) + 1);
  const copy = Buffer.concat([Buffer.alloc(5), BYTES.subarray(3, 20)]);
  hash.hash(VIEW, 3, 20);
  const first = hash.first;
  hash.hash(new DataView(copy.buffer, copy.byteOffset, copy.byteLength), 5, 22);
  assert.equal(hash.first, first);
});
