import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError, hasCode } from '../../../lib/guardian-error.ts';
import { seededRandom } from '../../../test/harness/seeded-random.ts';
import { testSeed, WHOLE_MATRIX } from '../../../test/harness/sampling.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';
import { OPERATION, RIVAL } from './simulated-node.fixture.ts';

const RUNS = 20;
/** The same stories each time, but in the whole matrix. */
const SEED = WHOLE_MATRIX ? testSeed() : 'the same';
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

test('whoever wants another restore meanwhile is told that one is under way, and stops nothing', async () => {
  let told = 0;
  for (let run = 0; run < RUNS; run++) {
    const random = seededRandom(`${SEED} rivals ${run}`);
    const cluster = new SimulatedCluster(random, random.pick([1, 2, 3, 5]), {});
    const { time, network, nodes, outcomes, rivals, invariants } = cluster;
    network.weather.slowestMs = random.pick([20, 300, 1_000]);
    const isBegun = (): boolean => nodes.some(({ disk }) => disk.journals.has(OPERATION));
    cluster.startCoordinator(false);
    await time.pass(HOUR_MS, isBegun);
    // The first comes while not even all nodes have heard of the other restore.
    for (let count = 0; outcomes.length === 0; count++) {
      cluster.startRival();
      await time.pass(time.nowMs + random.integer(1, 8_000), () => outcomes.length > 0);
      assert.ok(count < 1_000);
    }
    const about = `run ${run} of TEST_SEED=${SEED}: ${invariants.told()}`;
    const [outcome] = outcomes;
    assert.ok(outcome !== undefined && outcome.kind !== 'taken-over', about);
    const failure = 'failure' in outcome ? outcome.failure : undefined;
    // A verification fails by itself now and then.
    assert.ok(
      failure === undefined || hasCode(failure, 'restore.hash-mismatch'),
      `${about}: ${String(failure)}`,
    );
    assert.equal(invariants.broken, undefined, about);
    told += rivals.filter((rival) => 'failure' in rival && hasCode(rival.failure, 'restore.busy')).length;
    for (const rival of rivals) assert.equal(rival.kind, 'rolled-back', about);
    for (const { disk } of nodes) assert.equal(disk.journals.get(RIVAL), undefined, about);
  }
  assert.ok(told > RUNS, `only ${told} were told`);
});

test('of two restores that begin at once, whichever is refused is told so: nobody wonders whether it was committed', async () => {
  let refused = 0;
  for (let run = 0; run < RUNS; run++) {
    const random = seededRandom(`${SEED} at once ${run}`);
    const cluster = new SimulatedCluster(random, random.pick([1, 1, 2, 3]), {});
    const { time, network, outcomes, rivals, invariants } = cluster;
    network.weather.slowestMs = random.pick([20, 300, 1_000]);
    cluster.startRival();
    cluster.startCoordinator(false);
    await time.pass(HOUR_MS, () => outcomes.length > 0 && rivals.length > 0);
    const about = `run ${run} of TEST_SEED=${SEED}: ${invariants.told()}`;
    assert.equal(invariants.broken, undefined, about);
    for (const outcome of [...outcomes, ...rivals]) {
      if (outcome.kind === 'restored') continue;
      assert.equal(outcome.kind, 'rolled-back', about);
      if (hasCode(outcome.failure, 'restore.busy')) refused += 1;
    }
  }
  assert.ok(refused > 0, 'somebody has to be refused');
});

test('what was staged, and is led by nobody any more, makes room for another restore within the time of a hold', async () => {
  for (const untilStaged of ['Staging', 'Staged'] as const) {
    const cluster = new SimulatedCluster(seededRandom(`abandoned ${untilStaged}`), 3, {});
    const { time, nodes, rivals } = cluster;
    const states = (): (string | undefined)[] => nodes.map(({ disk }) => disk.journals.get(OPERATION)?.state);
    cluster.startCoordinator(false);
    await time.pass(HOUR_MS, () => states().every((state) => state === untilStaged));
    assert.deepEqual(states(), [untilStaged, untilStaged, untilStaged]);
    // Once staged, it is heard of once more; while that begins, its coordinator has not even said that it is there.
    if (untilStaged === 'Staged') await time.pass(time.nowMs + 1_000, () => false);
    cluster.coordinators[0]?.process.kill();
    const abandonedMs = time.nowMs;
    const isOver = (): boolean => states().every((state) => state === 'RolledBack' || state === 'Failed');
    await time.pass(HOUR_MS, isOver);
    assert.ok(isOver() && time.nowMs - abandonedMs < 25_000, `${states().join()} ${time.nowMs}`);
    await time.pass(time.nowMs + 1_000, () => false);
    cluster.startRival();
    await time.pass(HOUR_MS, () => rivals.length > 0);
    // It came as far as to its hooks.
    const [rival] = rivals;
    assert.ok(rival?.kind === 'rolled-back', rival?.kind ?? 'none');
    assert.match(String(rival.failure), /a hook failed/);
  }
});

test('what an earlier coordinator had staged is let go at once when it isn’t led on', async () => {
  const cluster = new SimulatedCluster(seededRandom('refused later'), 3, {});
  const { time, nodes } = cluster;
  const states = (): (string | undefined)[] => nodes.map(({ disk }) => disk.journals.get(OPERATION)?.state);
  cluster.startCoordinator(false);
  await time.pass(HOUR_MS, () => states().every((state) => state === 'Staged'));
  cluster.coordinators[0]?.process.kill();
  const beganMs = time.nowMs;
  let released = false;
  void cluster.release(new Error('the plan is refused')).then(() => (released = true));
  await time.pass(HOUR_MS, () => released);
  assert.deepEqual(states(), ['RolledBack', 'RolledBack', 'RolledBack']);
  assert.ok(time.nowMs - beganMs < 5_000, `${time.nowMs - beganMs} ms`);
});

test('the first node that fails to stage ends it for all, at once, and is named', async () => {
  const cluster = new SimulatedCluster(seededRandom('one is full'), 3, {});
  const { time, nodes, outcomes, invariants } = cluster;
  const [, second] = nodes;
  assert.ok(second !== undefined);
  second.isFull = true;
  cluster.startCoordinator(false);
  await time.pass(HOUR_MS, () => outcomes.length > 0);
  const [outcome] = outcomes;
  assert.ok(outcome?.kind === 'rolled-back' && hasCode(outcome.failure, 'disk.full'), String(outcome?.kind));
  assert.ok(time.nowMs < 4_000, `${time.nowMs} ms`);
  for (const { disk } of nodes) {
    assert.equal(disk.staged.size, 0);
    assert.match(disk.journals.get(OPERATION)?.state ?? 'Failed', /^(Failed|RolledBack)$/);
  }
  assert.equal(invariants.broken, undefined);
});

test('what is staged is kept as long as somebody leads it, however long that takes', async () => {
  const cluster = new SimulatedCluster(seededRandom('led for long'), 3, {});
  const { time, nodes, outcomes } = cluster;
  cluster.hooksMs = [5 * MINUTE_MS, 6 * MINUTE_MS];
  cluster.startCoordinator(false);
  await time.pass(5 * MINUTE_MS, () => false);
  for (const { disk } of nodes) assert.equal(disk.journals.get(OPERATION)?.state, 'Staged');
  await time.pass(HOUR_MS, () => outcomes.length > 0);
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ['restored'],
  );
});

test('a node that isn’t reached is named within 20 s, and the others were not touched', async () => {
  const cluster = new SimulatedCluster(seededRandom('away'), 3, {});
  const { time, network, nodes, outcomes } = cluster;
  network.part('n2', 'c1');
  cluster.startCoordinator(false);
  await time.pass(HOUR_MS, () => outcomes.length > 0);
  assert.ok(time.nowMs < 20_000, `${time.nowMs} ms`);
  const [outcome] = outcomes;
  assert.ok(outcome?.kind === 'rolled-back' && outcome.failure instanceof GuardianError);
  const { code, message, hint = '' } = outcome.failure;
  assert.equal(code, 'restore.agent-away');
  assert.match(message, /n2/);
  assert.match(hint, /--without/);
  for (const { disk } of nodes) assert.deepEqual([disk.term.term, disk.journals.size], [0n, 0]);
});
