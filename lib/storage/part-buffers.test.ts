import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { hasCode } from '../guardian-error.ts';
import { MIB } from './conformance-bytes.ts';
import { PartBuffers, partSize } from './part-buffers.ts';

const GIB = 1024 * MIB;
const live = new AbortController().signal;

test('ten thousand parts hold five TiB, none larger than five GiB, and an etcd needs only small ones', () => {
  let total = 0;
  let atSixteenGib = 0;
  for (let part = 1; part <= 10_000; part += 1) {
    const size = partSize(part);
    assert.ok(size <= 5 * GIB && size >= 5 * MIB);
    if (total < 16 * GIB) atSixteenGib = size;
    total += size;
  }
  assert.ok(total >= 5 * 1024 * GIB);
  assert.equal(atSixteenGib, 16 * MIB);
  assert.throws(
    () => partSize(10_001),
    (error) => hasCode(error, 'store.full'),
  );
});

test('one buffer more than parts may be sent at once, and the next waits for one to come back', async () => {
  const buffers = new PartBuffers(3);
  const taken = [];
  for (let count = 0; count < 4; count += 1) taken.push(await buffers.take(8 * MIB, live));
  let got: Buffer | undefined;
  const waiting = buffers.take(8 * MIB, live).then((buffer) => (got = buffer));
  await turn();
  assert.equal(got, undefined);
  const [first] = taken;
  assert.ok(first !== undefined);
  buffers.giveBack(first);
  assert.equal(await waiting, first, 'and it is used again');
});

test('large parts are fewer: two at least, within the budget otherwise', async () => {
  for (const [bytes, most] of [
    [8 * MIB, 4],
    [16 * MIB, 4],
    [32 * MIB, 2],
    [64 * MIB, 2],
  ] as const) {
    const buffers = new PartBuffers(3);
    for (let count = 0; count < most; count += 1) await buffers.take(bytes, live);
    const controller = new AbortController();
    const waiting = buffers.take(bytes, controller.signal);
    await turn();
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
  }
});
