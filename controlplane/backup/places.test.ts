import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Places } from './places.ts';

test('who waits for a place is served in order, and who leaves the line holds up nobody', async () => {
  const places = new Places(1);
  const signal = new AbortController().signal;
  const first = await places.take(signal);
  const leaving = new AbortController();
  const second = places.take(leaving.signal);
  const third = places.take(signal);
  leaving.abort(new Error('enough'));
  await assert.rejects(second, /enough/);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const place = await third;
  assert.equal(places.full, true);
  place[Symbol.dispose]();
  assert.equal(places.full, false);
});
