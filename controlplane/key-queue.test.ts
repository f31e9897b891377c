import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FakeTiming, fakeTiming } from './fake-timing.fixture.ts';
import { backOffMs, KEY_QUEUE_LIMITS, keyQueue, type WorkQueue } from './key-queue.ts';

function queueWith(limits = {}): { queue: WorkQueue; timing: FakeTiming; taken: string[] } {
  const timing = fakeTiming();
  const queue = keyQueue({ ...KEY_QUEUE_LIMITS, ...limits }, () => 1, timing);
  return { queue, timing, taken: [] };
}

async function takeAll(queue: WorkQueue, count: number): Promise<string[]> {
  const taken = await Promise.all(Array.from({ length: count }, () => queue.take()));
  return taken.map((one) => one?.key ?? 'nothing');
}

test('a key that is added often is taken once', async () => {
  const { queue } = queueWith();
  for (let i = 0; i < 10; i += 1) queue.add('a/one');
  queue.add('a/two');
  assert.deepEqual(await takeAll(queue, 2), ['a/one', 'a/two']);
  assert.deepEqual(queue.figures(), { waiting: 0, delayed: 0, running: 2, failing: 0 });
});

test('a key is never taken by two, and what came meanwhile makes it due again', async () => {
  const { queue, timing } = queueWith();
  queue.add('a/one');
  assert.deepEqual(await takeAll(queue, 1), ['a/one']);
  queue.add('a/one');
  queue.add('a/one');
  let second: string | undefined;
  void queue.take().then((taken) => (second = taken?.key));
  await timing.advance(60_000);
  assert.equal(second, undefined);
  queue.done('a/one');
  await timing.advance(0);
  assert.equal(second, 'a/one');
  queue.done('a/one');
  assert.equal(queue.figures().waiting, 0, 'nobody asked for a third time');
});

test('of several delays the earliest wins', async () => {
  const { queue, timing } = queueWith();
  queue.add('a/one', 5_000);
  queue.add('a/one', 1_000);
  queue.add('a/one', 9_000);
  const next = queue.take();
  let came = false;
  void next.then(() => (came = true));
  await timing.advance(999);
  assert.equal(came, false);
  await timing.advance(1);
  assert.equal((await next)?.key, 'a/one');
  assert.equal(queue.figures().delayed, 0);
});

test('while a key runs, its own wish for later gives way to a change that came now', async () => {
  const { queue, timing } = queueWith();
  queue.add('a/one');
  await queue.take();
  queue.add('a/one');
  queue.done('a/one', 60_000);
  await timing.advance(0);
  assert.equal(queue.figures().waiting, 1);
});

test('delays longer than a timer can hold neither fire at once nor get lost', async () => {
  const { queue, timing } = queueWith();
  queue.add('a/one', 60 * 86_400_000);
  await timing.advance(86_400_000);
  assert.equal(queue.figures().delayed, 1);
});

test('failures wait longer each time, a success forgets them', async () => {
  const { queue, timing } = queueWith({ retryMs: 2_000, longestRetryMs: 10_000 });
  const delays: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    queue.add('a/one');
    const next = queue.take();
    await timing.advance(10_000);
    await next;
    delays.push(queue.failed('a/one'));
    await timing.advance(delays.at(-1) ?? 0);
  }
  assert.deepEqual(delays, [2_000, 4_000, 8_000, 10_000, 10_000]);
  await queue.take();
  queue.done('a/one');
  assert.equal(queue.figures().failing, 0);
  queue.add('a/one');
  await queue.take();
  assert.equal(queue.failed('a/one'), 2_000);
});

test('a change brings a failing key forward, but not in a spin', async () => {
  const { queue, timing } = queueWith({ retryMs: 60_000 });
  queue.add('a/one');
  await queue.take();
  queue.failed('a/one');
  queue.add('a/one');
  await timing.advance(999);
  assert.deepEqual(queue.figures(), { waiting: 0, delayed: 1, running: 0, failing: 1 });
  await timing.advance(1);
  assert.equal(queue.figures().waiting, 1);
});

test('jitter keeps retries between half and all of the delay', () => {
  const limits = { retryMs: 1_000, longestRetryMs: 100_000 };
  assert.equal(
    backOffMs(3, limits, () => 0),
    2_000,
  );
  assert.equal(
    backOffMs(3, limits, () => 1),
    4_000,
  );
  assert.equal(
    backOffMs(5_000, limits, () => 1),
    100_000,
  );
});

test('a namespace with a thousand keys holds up no other', async () => {
  const { queue } = queueWith({ burst: 2_000 });
  for (let i = 0; i < 1_000; i += 1) queue.add(`crowd/${i}`);
  queue.add('small/one');
  queue.add('small/two');
  assert.deepEqual(await takeAll(queue, 5), ['crowd/0', 'small/one', 'crowd/1', 'small/two', 'crowd/2']);
});

test('takes are limited over all keys', async () => {
  const { queue, timing } = queueWith({ perSecond: 10, burst: 3 });
  for (let i = 0; i < 20; i += 1) queue.add(`a/${i}`);
  let taken = 0;
  for (let i = 0; i < 20; i += 1) void queue.take().then(() => (taken += 1));
  await timing.advance(0);
  assert.equal(taken, 3);
  await timing.advance(1_000);
  assert.equal(taken, 13);
});

test('a stopped queue lets takers go, and takes nothing in', async () => {
  const { queue, timing } = queueWith();
  const waiting = queue.take();
  queue.add('a/later', 1_000);
  queue.stop();
  assert.equal(await waiting, undefined);
  queue.add('a/one');
  await timing.advance(5_000);
  assert.equal(await queue.take(), undefined);
  assert.deepEqual(queue.figures(), { waiting: 0, delayed: 0, running: 0, failing: 0 });
});
