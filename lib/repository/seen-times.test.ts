import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_TIMES, SeenTimes } from './seen-times.ts';

test('each revision is told to 100 ms, in floods and in quiet', () => {
  assert.deepEqual(timesOf([0, 10, 90, 100, 150, 5000, 9000]), [
    [1n, 0],
    [3n, 90],
    [5n, 150],
    [6n, 5000],
    [7n, 9000],
  ]);
  assert.deepEqual(timesOf([7]), [[1n, 7]]);
  assert.deepEqual(timesOf([]), []);
});

test('a clock that steps back stands still until it is where it was', () => {
  assert.deepEqual(timesOf([5000, 6000, 1000, 2000, 6500]), [
    [1n, 5000],
    [4n, 6000],
    [5n, 6500],
  ]);
});

test('a segment that stays open for hours has no more times than fit', () => {
  const map = new SeenTimes();
  for (let revision = 1; revision <= 100_000; revision++) map.saw(BigInt(revision), new Date(revision * 150));
  const entries = map.entries();
  assert.ok(entries.length <= MAX_TIMES && entries.length > MAX_TIMES / 4, String(entries.length));
  assert.deepEqual(entries.at(-1), [100_000n, new Date(15_000_000)]);
  const distances = entries
    .slice(1)
    .map(([, at], index) => at.getTime() - (entries[index]?.[1].getTime() ?? 0));
  assert.ok(Math.max(...distances) <= 4 * (15_000_000 / MAX_TIMES), String(Math.max(...distances)));
});

function timesOf(seen: readonly number[]): [bigint, number][] {
  const map = new SeenTimes();
  for (const [index, ms] of seen.entries()) map.saw(BigInt(index + 1), new Date(ms));
  return map.entries().map(([revision, at]) => [revision, at.getTime()]);
}
