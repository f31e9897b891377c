import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { callRetries, partRetries, type Retry, type RetryPolicy, withRetries } from './retry-policy.ts';

const busy = new GuardianError('store.busy', 'slow down', { retryable: true, hint: 'wait' });

/** Time passes only by sleeping, and `random` is 1 less a hair: the longest waits. */
function timed(policy: RetryPolicy): { policy: RetryPolicy; waits: number[]; retries: Retry[] } {
  const waits: number[] = [];
  const retries: Retry[] = [];
  let nowMs = 0;
  return {
    waits,
    retries,
    policy: {
      ...policy,
      random: () => 1 - 2 ** -53,
      now: () => nowMs,
      sleep: (ms) => {
        waits.push(Math.round(ms));
        nowMs += ms;
        return Promise.resolve();
      },
      onRetry: (retry) => retries.push(retry),
    },
  };
}

function failing(times: number, error: Error): () => Promise<string> {
  return () => (times-- > 0 ? Promise.reject(error) : Promise.resolve('done'));
}

test('waits double up to the longest, each a random share of it', async () => {
  const { policy, waits, retries } = timed(callRetries);
  assert.equal(await withRetries(policy, 'x', failing(5, busy), undefined), 'done');
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000]);
  assert.deepEqual(
    retries.map(({ attempt, error, what }) => [attempt, error, what]),
    [1, 2, 3, 4, 5].map((attempt) => [attempt, busy, 'x']),
  );
  const half = timed(callRetries);
  await withRetries({ ...half.policy, random: () => 0.5 }, 'x', failing(2, busy), undefined);
  assert.deepEqual(half.waits, [125, 250]);
});

test('when attempts are exhausted the last error says how often', async () => {
  const { policy, waits } = timed(callRetries);
  await assert.rejects(withRetries(policy, 'x', failing(99, busy), undefined), (error) => {
    assert.ok(hasCode(error, 'store.busy'));
    assert.match(error.message, /slow down \(tried 6 times in 8 s\)/);
    assert.equal(error.hint, 'wait');
    assert.equal(error.cause, busy);
    return error.retryable;
  });
  assert.equal(waits.length, 5);
});

test('parts ride out four minutes of trouble, and no more than five', async () => {
  const { policy, waits } = timed(partRetries);
  await assert.rejects(withRetries(policy, 'x', failing(99, busy), undefined), /tried/);
  const total = waits.reduce((sum, ms) => sum + ms, 0);
  assert.ok(total > 240_000 && total <= partRetries.budgetMs, String(total));
  assert.equal(Math.max(...waits), 30_000);
});

test('errors that are not retryable are thrown as they are, at once', async () => {
  const { policy, waits } = timed(callRetries);
  for (const error of [new GuardianError('store.denied', 'no'), new Error('a bug')]) {
    await assert.rejects(
      withRetries(policy, 'x', failing(1, error), undefined),
      (thrown) => thrown === error,
    );
  }
  assert.deepEqual(waits, []);
});

test('an abort ends the waiting with its reason', async () => {
  const controller = new AbortController();
  const reason = new Error('stop');
  const policy: RetryPolicy = {
    ...callRetries,
    firstDelayMs: 3_600_000,
    longestDelayMs: 3_600_000,
    budgetMs: Infinity,
    onRetry: () => {
      controller.abort(reason);
    },
  };
  await assert.rejects(
    withRetries(policy, 'x', failing(9, busy), controller.signal),
    (error) => error === reason,
  );
});
