import { fateOf } from '../../../lib/restore/cluster/restore-states.ts';
import { seededRandom } from '../../../test/harness/seeded-random.ts';
import { type Mutation, SimulatedCluster } from './simulated-cluster.fixture.ts';
import { OPERATION } from './simulated-node.fixture.ts';

export interface SimulatedRun {
  /** How it ended everywhere. */
  readonly end: 'new' | 'old';
  /** What didn't hold; undefined: everything did. */
  readonly broken: string | undefined;
  readonly events: number;
  /** Whether a node had to give up, and ask its peers. */
  readonly gaveUp: boolean;
}

const MINUTE_MS = 60_000;
const LATEST_MS = 90 * MINUTE_MS;

/** One restore through bad days, then through a good one, in which it has to come to an end by itself. */
export async function simulateRestore(seed: string, mutation: Mutation = {}): Promise<SimulatedRun> {
  const random = seededRandom(seed);
  const cluster = new SimulatedCluster(random, random.pick([1, 2, 3, 3, 3, 3, 5]), mutation);
  const { time, network, nodes, invariants } = cluster;
  const badMs = random.integer(1, 6) * MINUTE_MS;
  const isBad = (): boolean => time.nowMs < badMs;
  const stopped = (): boolean => invariants.broken !== undefined || !isBad();

  // 1. How bad it gets: a little of everything, most of it seldom.
  const pick = (...chances: number[]): number => random.pick(chances);
  const seldom = (everyMs: number): number => pick(0, 0, 0, everyMs);
  Object.assign(network.weather, {
    loss: pick(0, 0, 0, 0.02, 0.1),
    repeats: pick(0, 0.05, 0.3),
    slowestMs: pick(20, 20, 500, 3_000),
  });
  cluster.killsAtChange = pick(0, 0, 0, 0.01, 0.05);
  cluster.troubleAtVotes = pick(0, 0.1, 0.3, 0.6, 0.6);
  const someNode = () => random.pick(nodes);
  const again = (everyMs: number, happen: () => void): void => {
    if (everyMs === 0) return;
    time.after(random.integer(1, everyMs), () => {
      if (stopped()) return;
      happen();
      again(everyMs, happen);
    });
  };
  again(seldom(60_000), () => {
    cluster.killAgent(someNode());
  });
  again(seldom(120_000), () => {
    cluster.cutPower(someNode());
  });
  again(seldom(30_000), () => {
    random.pick(cluster.coordinators).process.kill();
  });
  again(seldom(60_000), () => {
    someNode().clockMs = random.integer(-3_600_000, 3_600_000);
  });
  again(seldom(60_000), () => {
    const node = someNode();
    node.isFull = true;
    time.after(random.integer(1, 60_000), () => {
      node.isFull = false;
    });
  });
  again(seldom(40_000), () => {
    const [a, b] = [someNode().name, random.pick([...cluster.coordinators, ...nodes]).name];
    network.part(a, b);
    time.after(random.integer(1, random.pick([5_000, 400_000])), () => {
      network.heal(a, b);
    });
  });
  again(seldom(10_000), () => {
    void cluster.takeForBackups(random.pick(cluster.coordinators).name, someNode());
  });
  if (random.next() < 0.05) someNode().isDamaged = true;

  // 2. Who leads: one after the other, or several at once, some of which don't look around.
  cluster.startCoordinator(false);
  again(pick(0, 0, 40_000, 120_000), () => {
    cluster.startCoordinator(random.next() < 0.8);
  });
  again(seldom(30_000), () => {
    cluster.startRival();
  });
  aPersonDecides(cluster, `${seed} somebody`, badMs);
  await time.pass(badMs, () => invariants.broken !== undefined || cluster.isSettled);

  // 3. All processes are back, and the network heals; whether anyone leads then is left open.
  network.healAll();
  Object.assign(cluster, { killsAtChange: 0, troubleAtVotes: 0 });
  const healedMs = time.nowMs;
  if (random.next() < 0.5) for (const { process } of cluster.coordinators) process.kill();
  for (const node of nodes) {
    Object.assign(node, { isFull: false, isDead: false });
    cluster.startAgent(node);
    cluster.runPods(node);
  }
  if (random.next() < 0.3) cluster.startCoordinator(true);
  await time.pass(healedMs + LATEST_MS, () => invariants.broken !== undefined || cluster.isOver);
  const gaveUp = nodes.some(({ disk }) => disk.journals.get(OPERATION)?.givenUp === true);
  const fates = nodes.map(({ disk }) => {
    const entry = disk.journals.get(OPERATION);
    return entry === undefined ? 'aborted' : fateOf(entry.state, entry.committedMs);
  });
  const end = fates.includes('committed') ? 'new' : 'old';
  const broken = invariants.broken ?? endingOf(cluster, end);
  return { end, broken, gaveUp, events: time.events };
}

/** In some stories etcd is dead on old data, and a person decides now and then: numbers of their own leave the others as they are. */
function aPersonDecides(cluster: SimulatedCluster, seed: string, badMs: number): void {
  const random = seededRandom(seed);
  const { time, nodes } = cluster;
  if (random.next() < 0.6) return;
  for (const node of nodes)
    if (random.next() < 0.5)
      time.after(random.integer(1, badMs), () => {
        node.isDead = time.nowMs < badMs;
      });
  for (let times = random.integer(1, 5); times > 0; times--) {
    const decision = { commit: random.next() < 0.4, notServing: random.next() < 0.6 };
    time.after(random.integer(1, badMs), () => {
      void cluster.settle(decision);
    });
  }
}

/** What is wrong with how it ended, or with what a coordinator told of it. */
function endingOf(cluster: SimulatedCluster, end: 'new' | 'old'): string | undefined {
  const { nodes, outcomes, invariants } = cluster;
  if (!cluster.isOver) return `it didn't come to an end (${invariants.told()})`;
  if (nodes.some(({ disk }) => disk.member !== end)) return `not all are ${end} (${invariants.told()})`;
  for (const { kind, states } of outcomes) {
    if (kind === 'restored' && end !== 'new') return 'a coordinator told that it was restored';
    // Where not even one node has noted it yet, another coordinator may still go on.
    const isNoted = [...states.values()].some(
      ({ state }) => state === 'RollingBack' || state === 'RolledBack',
    );
    if ((kind === 'rolled-back' || kind === 'going-back') && isNoted && end !== 'old')
      return 'a coordinator told that it was rolled back';
  }
  return undefined;
}
