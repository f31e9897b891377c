import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commonTerm } from './common-term.ts';

/** Keepers of terms that are at these, as agents are: undefined is away. */
function keepers(...terms: (bigint | undefined)[]): Parameters<typeof commonTerm>[0] {
  return (atLeast) =>
    Promise.allSettled(
      terms.map(async (held, at) => {
        if (held === undefined) throw new Error('away');
        const next = atLeast > held ? atLeast : held + 1n;
        terms[at] = next;
        return await Promise.resolve(next);
      }),
    );
}

test('a common term is the same for all, and above all that each of them ever gave', async () => {
  assert.equal((await commonTerm(keepers(0n, 0n), 1n)).term, 1n);
  assert.equal((await commonTerm(keepers(3n, 7n, 5n), 1n)).term, 9n);
  assert.equal((await commonTerm(keepers(3n, 7n, 5n), 20n)).term, 20n);
});

test('who is away has no say in a common term, and is told apart', async () => {
  const { term, taken } = await commonTerm(keepers(3n, undefined, 5n), 1n);
  assert.equal(term, 7n);
  assert.deepEqual(
    taken.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal((await commonTerm(keepers(undefined), 4n)).term, 4n);
});
