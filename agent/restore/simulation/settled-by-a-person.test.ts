import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../test/harness/seeded-random.ts';
import { simulateRestore } from './simulate-restore.fixture.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';
import { OPERATION } from './simulated-node.fixture.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/** All have voted when their coordinator dies, long before their deadlines. */
async function votedAndLeft(seed: string): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster(seededRandom(seed), 3, {});
  const { time, nodes, network } = cluster;
  cluster.onStep = ({ states }) => {
    if ([...states.values()].filter(({ state }) => state === 'Verified').length === nodes.length)
      for (const { name } of nodes) network.part(name, 'c1');
  };
  cluster.startCoordinator(false);
  const isVoted = (): boolean => statesOf(cluster).every((state) => state === 'Verified');
  await time.pass(HOUR_MS, isVoted);
  assert.ok(isVoted());
  await time.pass(time.nowMs + 100, () => false);
  cluster.coordinators[0]?.process.kill();
  return cluster;
}

function statesOf({ nodes }: SimulatedCluster): (string | undefined)[] {
  return nodes.map(({ disk }) => disk.journals.get(OPERATION)?.state);
}

test('what all have verified is committed when a person says so, and its API servers start at once', async () => {
  for (let run = 0; run < 20; run++) {
    const cluster = await votedAndLeft(`committed by a person ${run}`);
    const { time, invariants } = cluster;
    const saidMs = time.nowMs;
    void cluster.settle({ commit: true });
    await time.pass(saidMs + MINUTE_MS, () => statesOf(cluster).every((state) => state === 'Resumed'));
    assert.deepEqual([invariants.broken, statesOf(cluster)], [undefined, ['Resumed', 'Resumed', 'Resumed']]);
    assert.ok(time.nowMs - saidMs < 8_000, `${time.nowMs - saidMs} ms`);
  }
});

test('what is committed without a node that is lost goes on at once, before its deadline', async () => {
  const cluster = await votedAndLeft('committed without one');
  const { time, network, nodes, invariants } = cluster;
  const [, , lost] = nodes;
  assert.ok(lost !== undefined);
  lost.process?.kill();
  for (const name of ['n1', 'n2', 'p2', 'p3']) network.part(lost.name, name);
  const saidMs = time.nowMs;
  for (let times = 0; times < 2; times++) {
    let isTold = false;
    void cluster.settle({ commit: true, withoutNodes: [lost.name] }).then(() => (isTold = true));
    await time.pass(saidMs + HOUR_MS, () => isTold);
  }
  await time.pass(
    saidMs + HOUR_MS,
    () => statesOf(cluster)[0] === 'Resumed' && statesOf(cluster)[1] === 'Resumed',
  );
  assert.deepEqual([invariants.broken, statesOf(cluster)], [undefined, ['Resumed', 'Resumed', 'Verified']]);
  // The deadline is 20 s away; some of it is the command's own, as a node doesn't answer.
  assert.ok(time.nowMs - saidMs < 15_000, `${time.nowMs - saidMs} ms`);
});

test('a way back on which etcd never serves again ends when a person says so, with the old and the new data kept', async () => {
  for (const count of [1, 3]) {
    const cluster = new SimulatedCluster(seededRandom('etcd is dead'), count, {});
    const { time, nodes, invariants, outcomes, rivals } = cluster;
    const entries = () => nodes.map(({ disk }) => disk.journals.get(OPERATION));
    const states = (): (string | undefined)[] => entries().map((entry) => entry?.state);
    const settled = async (notServing: boolean): Promise<readonly unknown[]> => {
      let told: readonly PromiseSettledResult<unknown>[] | undefined;
      void cluster.settle({ notServing }).then((ends) => (told = ends));
      await time.pass(time.nowMs + HOUR_MS, () => told !== undefined);
      return (told ?? []).filter(({ status }) => status === 'rejected');
    };
    for (const node of nodes) Object.assign(node, { isDamaged: true, isDead: true });
    cluster.startCoordinator(false);
    await time.pass(HOUR_MS, () => outcomes.length > 0);
    await time.pass(time.nowMs + HOUR_MS, () => false);
    const back = new Set(['RollingBack']);
    assert.deepEqual(new Set(states()), back);
    assert.equal(outcomes[0]?.kind, 'going-back');
    // Not by the mere word that it goes back: etcd may only be slow.
    await settled(false);
    assert.deepEqual(new Set(states()), back);
    // Its agent dies on the way, and the command is repeated.
    cluster.killsAtChange = 0.2;
    await settled(true);
    cluster.killsAtChange = 0;
    await time.pass(time.nowMs + HOUR_MS, () => nodes.every(({ process }) => process?.isAlive === true));
    assert.deepEqual(await settled(true), []);
    assert.deepEqual(new Set(states()), new Set(['RolledBack']));
    for (const entry of entries()) assert.match(entry?.message ?? '', /^p\d+ decided .* kept in .*restore-1/);
    for (const { disk, etcd, apiServer } of nodes) {
      assert.deepEqual([disk.member, disk.discarded], ['old', OPERATION]);
      assert.deepEqual([etcd.isWanted, apiServer.isWanted], [true, true]);
    }
    const before = entries();
    assert.deepEqual(await settled(true), []);
    assert.deepEqual(entries(), before);
    // There is room for another one.
    cluster.startRival();
    await time.pass(time.nowMs + HOUR_MS, () => rivals.length > 0);
    assert.match(String(rivals[0]?.kind === 'rolled-back' && rivals[0].failure), /a hook failed/);
    assert.equal(invariants.broken, undefined);
  }
});

test('a person’s word that comes while nodes are about to vote splits nothing', async () => {
  // A story that did: it was decided by what a node had been at before the step that went on.
  assert.equal((await simulateRestore('load 7384')).broken, undefined);
});
