import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainTail } from '../../repository/chain.ts';
import { type RebaseSettings, Rebasing } from './rebase.ts';

const MIB = 1 << 20;
const tail: ChainTail = {
  ...{ cluster: 'c', timeline: '000001', id: '20261122T053000Z-9f3ac1d0', etcdClusterId: 1n, revision: 9n },
  ...{ predecessor: '00'.repeat(32), index: 0, recipients: [], last: undefined },
};

/** How many bases are asked for while segments of these sizes are stored behind a base of `baseBytes`. */
async function rebasesAfter(
  settings: Partial<RebaseSettings>,
  baseBytes: number,
  sizes: readonly number[],
): Promise<number> {
  let asked = 0;
  const rebase = (): Promise<undefined> => {
    asked++;
    return Promise.resolve(undefined);
  };
  const rebasing = new Rebasing(
    { rebase, segments: 100, storedShare: 1, pauseMs: 60_000, ...settings },
    () => undefined,
    new AbortController().signal,
  );
  rebasing.base(baseBytes);
  for (const size of sizes) rebasing.stored(tail, size);
  await rebasing.settled();
  return asked;
}

test('a chain is long when its segments have more bytes than its base, or when there are many', async () => {
  assert.equal(await rebasesAfter({}, 4 * MIB, [MIB, MIB, MIB]), 0);
  assert.equal(await rebasesAfter({}, 4 * MIB, [MIB, 2 * MIB, 2 * MIB]), 1);
  assert.equal(await rebasesAfter({ segments: 3 }, 400 * MIB, [1, 1, 1]), 1);
});

test('a small base is not made again after next to nothing', async () => {
  const sizes = Array.from({ length: 15 }, () => MIB);
  assert.equal(await rebasesAfter({ leastBytes: 16 * MIB }, 1000, sizes), 0);
  assert.equal(await rebasesAfter({ leastBytes: 16 * MIB }, 1000, [...sizes, 2 * MIB]), 1);
});

test('after one base was asked for, the next waits for the pause', async () => {
  const sizes = Array.from({ length: 9 }, () => 2 * MIB);
  assert.equal(await rebasesAfter({}, MIB, sizes), 1);
});
