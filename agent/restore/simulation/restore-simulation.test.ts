import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moveByPeers, type PeerAnswer, type PeersMove } from '../../../lib/restore/cluster/decide-alone.ts';
import { testSeed, WHOLE_MATRIX } from '../../../test/harness/sampling.ts';
import { simulateRestore } from './simulate-restore.fixture.ts';

const RUNS = WHOLE_MATRIX ? 20_000 : 40;

test('whatever happens, members of a restore come to one end by themselves, and serve nothing else meanwhile', async () => {
  const ends = { new: 0, old: 0, gaveUp: 0 };
  for (let run = 0; run < RUNS; run++) {
    const seed = `${testSeed()} restore ${run}`;
    const { broken, end, gaveUp } = await simulateRestore(seed);
    assert.equal(broken, undefined, `run ${run} of TEST_SEED=${testSeed()}`);
    ends[end] += 1;
    if (gaveUp) ends.gaveUp += 1;
  }
  process.stdout.write(
    `${RUNS} restores: ${ends.new} restored, ${ends.old} rolled back; in ${ends.gaveUp} a node asked its peers\n`,
  );
});

test('the same seed is the same story', async () => {
  assert.deepEqual(await simulateRestore('again 7'), await simulateRestore('again 7'));
});

/** A rule that is a little wrong, and a seed whose story shows it. */
const WRONG: readonly (readonly [rule: string, seed: string, decide: typeof moveByPeers])[] = [
  ['to commit when nobody knows', 'm127', (answers) => orElse(answers, true, 'commit')],
  [
    'to go back when most have given up',
    'm207',
    (answers) =>
      orElse(answers, answers.filter(({ givenUp }) => givenUp).length * 2 >= answers.length, 'rollBack'),
  ],
];

for (const [rule, seed, decide] of WRONG)
  test(`the simulation finds out that it is wrong ${rule}`, async () => {
    const { broken } = await simulateRestore(seed, { decide });
    assert.match(broken ?? '', /one committed, one went back/);
    assert.equal((await simulateRestore(seed)).broken, undefined);
  });

function orElse(answers: readonly PeerAnswer[], isEnough: boolean, move: 'commit' | 'rollBack'): PeersMove {
  const right = moveByPeers(answers);
  return right.move === 'wait' && isEnough ? { move, because: 'a rule of this test' } : right;
}
