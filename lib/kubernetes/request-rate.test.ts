import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequestRate } from './request-rate.ts';

test('a burst goes at once, then one at a time, in order', async () => {
  const rate = createRequestRate({ perSecond: 100, burst: 5 });
  const started = performance.now();
  const at: number[] = [];
  await Promise.all(
    Array.from({ length: 15 }, async () => {
      await rate.take();
      at.push(performance.now() - started);
    }),
  );
  assert.ok((at[4] ?? 0) < (at[14] ?? 0));
  assert.ok((at[14] ?? 0) >= 90, `the fifteenth went after ${at[14] ?? 0} ms`);
});

test('what the burst allows comes back with time, and never more than it', async () => {
  let now = 0;
  const rate = createRequestRate({ perSecond: 1, burst: 2 }, () => now);
  const waits = async (): Promise<boolean> => {
    const ended = new AbortController();
    const taken = rate.take(ended.signal);
    const first = await Promise.race([
      taken.then(() => false),
      Promise.resolve().then(() => Promise.resolve(true)),
    ]);
    ended.abort();
    await taken.catch(() => undefined);
    return first;
  };
  await rate.take();
  await rate.take();
  assert.equal(await waits(), true);
  now = 1_000_000;
  await rate.take();
  await rate.take();
  assert.equal(await waits(), true);
});

test('who waits goes with the signal’s reason', async () => {
  const rate = createRequestRate({ perSecond: 0.001, burst: 1 });
  await rate.take();
  const ended = new AbortController();
  const waiting = rate.take(ended.signal);
  ended.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(rate.take(ended.signal), /enough/);
});
