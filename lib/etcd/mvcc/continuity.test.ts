import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Continuity } from './continuity.ts';

test('the next put follows, and nothing else does', () => {
  const continuity = new Continuity();
  for (const create of [1, 77, 2 ** 31, 2 ** 32, 2 ** 40 + 3, 2 ** 53 - 1]) {
    for (const version of [1, 2, 1000, 2 ** 31 - 1]) {
      const previous = continuity.of(create, version);
      assert.ok(continuity.follows(previous, continuity.of(create, version + 1)));
      assert.ok(!continuity.follows(previous, continuity.of(create, version)));
      assert.ok(!continuity.follows(previous, continuity.of(create, version + 2)));
      assert.ok(!continuity.follows(previous, continuity.of(create + 1, version + 1)));
      assert.ok(!continuity.follows(previous, continuity.of(create + 2 ** 32, version + 1)));
    }
  }
});
