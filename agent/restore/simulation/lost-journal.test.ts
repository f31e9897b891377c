import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError, hasCode } from '../../../lib/guardian-error.ts';
import type { RestoreOutcome } from '../../../lib/restore/cluster/coordinate-restore.ts';
import { seededRandom } from '../../../test/harness/seeded-random.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';
import { OPERATION } from './simulated-node.fixture.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

test('a node that has lost its journal doesn’t make a coordinator go back where others have gone on', async () => {
  const cluster = new SimulatedCluster(seededRandom('a journal is lost'), 3, {});
  const { time, network, nodes, outcomes, invariants } = cluster;
  const [first, second, third] = nodes;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const states = (): (string | undefined)[] => nodes.map(({ disk }) => disk.journals.get(OPERATION)?.state);
  // All have voted, and only one is told to commit.
  cluster.onStep = ({ states: seen }) => {
    if ([...seen.values()].filter(({ state }) => state === 'Verified').length === nodes.length)
      for (const { name } of [second, third]) network.part(name, 'c1');
  };
  cluster.startCoordinator(false);
  await time.pass(HOUR_MS, () => first.disk.journals.get(OPERATION)?.committedMs !== undefined);
  cluster.coordinators[0]?.process.kill();
  for (const other of [second.name, third.name, 'c2']) network.part(first.name, other);
  second.disk.journals.clear();
  cluster.killAgent(second, 1_000);
  await time.pass(time.nowMs + 2_000, () => false);
  // The next one sees a node that knows nothing, and one that has voted.
  cluster.startCoordinator(true);
  await time.pass(time.nowMs + 10 * MINUTE_MS, () => outcomes.length > 0);
  assert.equal(invariants.broken, undefined);
  assert.deepEqual([outcomes.map(({ kind }) => kind), states()[2]], [['unknown'], 'Verified']);
  network.healAll();
  await time.pass(HOUR_MS, () => states()[2] === 'Resumed');
  assert.deepEqual([invariants.broken, states()], [undefined, ['Resumed', undefined, 'Resumed']]);
});

test('where all who answer have lost their journals, nobody is told that it went back, and nothing is touched', async () => {
  const cluster = new SimulatedCluster(seededRandom('journals are lost'), 3, {});
  const { time, network, nodes, outcomes, invariants } = cluster;
  const [first, second, third] = nodes;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  cluster.startCoordinator(false);
  await time.pass(HOUR_MS, () => outcomes.length > 0);
  assert.equal(outcomes[0]?.kind, 'restored');
  for (const name of [second.name, third.name, 'c2', 'c3']) network.part(first.name, name);
  for (const node of [second, third]) {
    node.disk.journals.clear();
    cluster.killAgent(node, 1_000);
  }
  await time.pass(time.nowMs + 2_000, () => false);
  const told = async (): Promise<RestoreOutcome | undefined> => {
    let outcome: RestoreOutcome | undefined;
    void cluster.conclude(new GuardianError('restore.interrupted', 'it was interrupted')).then((end) => {
      outcome = end;
    });
    await time.pass(time.nowMs + 10 * MINUTE_MS, () => outcome !== undefined);
    return outcome;
  };
  const outcome = await told();
  assert.ok(outcome?.kind === 'unknown' && hasCode(outcome.failure, 'restore.peers-away'));
  assert.match(outcome.failure.message, /n1 can't be asked, and n2, n3 know nothing of it.*interrupted/);
  assert.match(outcome.failure.hint ?? '', /Bring the agents of n1 back/);
  for (const { disk, etcd, apiServer } of nodes)
    assert.deepEqual([disk.member, etcd.isRunning, apiServer.isRunning], ['new', true, true]);
  assert.deepEqual(
    [second, third].map(({ disk }) => disk.journals.size),
    [0, 0],
  );
  // Back again, it tells.
  network.healAll();
  assert.equal((await told())?.kind, 'restored');
  assert.equal(invariants.broken, undefined);
});
