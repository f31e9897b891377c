import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationMs } from './duration.ts';

test('durations are read as Go writes them, and nothing else', () => {
  assert.equal(durationMs('720h'), 720 * 3_600_000);
  assert.equal(durationMs('1h30m'), 5_400_000);
  assert.equal(durationMs('1.5h'), 5_400_000);
  for (const text of ['', '5', 'h', '1d', '-1h', '1h 30m']) assert.equal(durationMs(text), undefined, text);
});
