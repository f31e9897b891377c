import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptBytes } from './kept-bytes.ts';

test('pieces of any size come back, until the budget is used up', () => {
  const source = Buffer.from(Array.from({ length: 1_200_000 }, (_, at) => (at * 7919) & 255));
  const kept = new KeptBytes(8_000_000);
  const sizes = [0, 1, 5000, 3000, 8188, 8189, 262_140, 262_141, 1_000_000, 17, 262_144, 4];
  const refs = sizes.map((size, index) => kept.keep(source, index, index + size));
  for (const [index, size] of sizes.entries()) {
    const ref = refs[index];
    assert.ok(ref !== undefined);
    assert.deepEqual(kept.read(ref).bytes, source.subarray(index, index + size));
  }
  let more = 0;
  while (kept.keep(source, 0, 100_000) !== undefined) more++;
  assert.ok(more < 80);
  kept.extend(200_000);
  const ref = kept.keep(source, 5, 100_005);
  assert.ok(ref !== undefined);
  assert.deepEqual(kept.read(ref).view.getUint8(1), source[6]);
});
