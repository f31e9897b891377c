import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../test/harness/seeded-random.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';
import { OPERATION } from './simulated-node.fixture.ts';

const HOUR_MS = 3_600_000;

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
