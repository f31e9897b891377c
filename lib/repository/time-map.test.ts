import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secondsIn } from '../../test/harness/restore-points.ts';
import { firstIndex, TimeMap } from './time-map.ts';

test('a revision was seen by the first entry at or above it, a time stands for the last entry at or before it', () => {
  const times: [bigint, Date][] = [
    [5n, secondsIn(1)],
    [9n, secondsIn(2)],
    [10n, secondsIn(2)],
    [20n, secondsIn(7)],
  ];
  const map = new TimeMap({ times, to: 20n, sealedAt: secondsIn(9) });
  assert.deepEqual([map.first, map.last], [secondsIn(1), secondsIn(7)]);
  const seen = [1n, 5n, 6n, 9n, 10n, 11n, 20n].map((revision) => map.seenAt(revision));
  assert.deepEqual(seen, [1, 1, 2, 2, 2, 7, 7].map(secondsIn));
  const revisions = [0, 1, 1.5, 2, 6.9, 7, 100].map((seconds) => map.revisionAt(secondsIn(seconds)));
  assert.deepEqual(revisions, [undefined, 5n, 5n, 10n, 10n, 20n, 20n]);
});

test('without times a segment counts from when it was sealed', () => {
  const map = new TimeMap({ times: [], to: 20n, sealedAt: secondsIn(9) });
  assert.deepEqual(map.seenAt(3n), secondsIn(9));
  assert.deepEqual([map.revisionAt(secondsIn(8)), map.revisionAt(secondsIn(9))], [undefined, 20n]);
});

test('the first index is found at both ends and in the middle', () => {
  for (let length = 0; length < 20; length++) {
    for (let from = 0; from <= length; from++)
      assert.equal(
        firstIndex(length, (at) => at >= from),
        from,
      );
  }
});
