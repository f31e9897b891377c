import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../test/harness/seeded-random.ts';
import { type Mutation, SimulatedCluster } from './simulated-cluster.fixture.ts';
import { OPERATION, type SimulatedNode } from './simulated-node.fixture.ts';

const HOUR_MS = 3_600_000;
const LONGER_THAN_A_CALL_MS = 12_000;

/**
 * Both nodes have voted, the coordinator has seen it and is cut off before it can tell them to commit. Both give up; the
 * second one asks the first, and goes back as both have given up. Then the first loses its power, and what wasn't safe on
 * its disk; as it comes back, it hears of the coordinator before it looks at anything itself.
 */
async function powerCutAfterGivingUp(mutation: Mutation): Promise<string> {
  const cluster = new SimulatedCluster(seededRandom('two that have voted'), 2, mutation);
  const { time, network, nodes, invariants } = cluster;
  const states = (): (string | undefined)[] => nodes.map(({ disk }) => disk.journals.get(OPERATION)?.state);
  cluster.onStep = ({ states: seen }) => {
    if ([...seen.values()].filter(({ state }) => state === 'Verified').length === 2)
      for (const { name } of nodes) network.part(name, 'c1');
  };
  cluster.startCoordinator(false);
  const goneBack = (): SimulatedNode | undefined =>
    nodes.find(({ disk }) => disk.journals.get(OPERATION)?.state === 'RollingBack');
  await time.pass(HOUR_MS, () => goneBack() !== undefined);
  const first = nodes.find((node) => node !== goneBack());
  assert.equal(first?.disk.journals.get(OPERATION)?.givenUp, true, states().join());
  assert.equal(first.disk.journals.get(OPERATION)?.state, 'Verified');
  cluster.cutPower(first, LONGER_THAN_A_CALL_MS);
  network.healAll();
  await time.pass(HOUR_MS, () => invariants.broken !== undefined || cluster.isOver);
  return invariants.broken ?? states().join();
}

test('a node that has given up has done so for good, also when its power is cut', async () => {
  assert.equal(await powerCutAfterGivingUp({}), 'RolledBack,RolledBack');
});

test('the simulation finds out that giving up must be on disk before peers are asked', async () => {
  const broken = await powerCutAfterGivingUp({ unsynced: ({ givenUp }) => givenUp === true });
  assert.match(broken, /one committed, one went back/);
});
