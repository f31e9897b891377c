import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { collect, MIB, randomBody, randomBytes } from './conformance-bytes.ts';
import { LocalStore } from './local-store.ts';
import { describeObjectStore } from './object-store.conformance.ts';
import { RateLimitedStore, type RateLimits } from './rate-limited-store.ts';

describeObjectStore('a rate-limited store', async () => {
  const folder = await temporaryFolder();
  const limits = { uploadBytesPerSecond: 10_000 * MIB, downloadBytesPerSecond: 10_000 * MIB };
  const store = new RateLimitedStore(new LocalStore(folder.path), limits);
  return { store, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
});

/** Time passes only by waiting for the limit. */
async function open(
  limits: RateLimits,
): Promise<{ store: RateLimitedStore; elapsed: () => number } & AsyncDisposable> {
  const folder = await temporaryFolder();
  let nowMs = 5_000;
  const timer = {
    now: () => nowMs,
    sleep: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
  const store = new RateLimitedStore(new LocalStore(folder.path), limits, timer);
  const elapsed = (): number => Math.round(nowMs - 5_000);
  return { store, elapsed, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test('uploads take as long as the rate says, but for the first second', async () => {
  await using opened = await open({ uploadBytesPerSecond: 65_536 });
  await opened.store.put('a', randomBody('a', 11 * 65_536));
  assert.equal(opened.elapsed(), 9_000, 'one chunk on credit, one from the second before');
  await opened.store.putIfAbsent('b', await randomBytes('b', 65_536));
  assert.equal(opened.elapsed(), 10_000);
});

test('downloads have their own rate', async () => {
  await using opened = await open({ downloadBytesPerSecond: 262_144 });
  await opened.store.put('a', randomBody('a', 4 * MIB));
  assert.equal(opened.elapsed(), 0);
  assert.equal((await collect(opened.store.get('a'))).length, 4 * MIB);
  assert.equal(opened.elapsed(), 14_000);
});

test('a chunk larger than a second of the rate passes, and the next one pays for it', async () => {
  await using opened = await open({ uploadBytesPerSecond: 1_000 });
  await opened.store.putIfAbsent('a', Buffer.alloc(10_000));
  assert.equal(opened.elapsed(), 0);
  await opened.store.putIfAbsent('b', Buffer.alloc(1));
  assert.equal(opened.elapsed(), 9_000);
});

test('an abort ends the waiting with its reason', async () => {
  await using folder = await temporaryFolder();
  const store = new RateLimitedStore(new LocalStore(folder.path), { uploadBytesPerSecond: 1 });
  await store.putIfAbsent('a', Buffer.alloc(100_000));
  const controller = new AbortController();
  const writing = store.putIfAbsent('b', Buffer.alloc(1), { signal: controller.signal });
  const reason = new Error('stop');
  controller.abort(reason);
  await assert.rejects(writing, (error) => error === reason);
});
