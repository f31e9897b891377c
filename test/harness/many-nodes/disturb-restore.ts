import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { BackupResult } from '../../../lib/agent-api/task-messages.ts';
import type { Budgets } from '../../../lib/restore/cluster/coordinate-restore.ts';
import type { RestoreStateName } from '../../../lib/restore/cluster/restore-states.ts';
import { eventually } from '../eventually.ts';
import { SOON, startCoordinator } from './coordinator.ts';
import { isOver, judgeMembers, type KnownData, untilOver } from './judge-members.ts';
import type { ManyNode, ManyNodes } from './start-nodes.ts';

/** What happens to a restore, once the journal of one node says so. */
export interface Disturbance {
  readonly deed: Deed;
  readonly state: RestoreStateName;
  /** 0, 1 or 2: whose journal, and to whom it happens. */
  readonly node: number;
  /** The restore is one that goes back, as the data of another node was damaged after it had been staged. */
  readonly goesBack: boolean;
}

export type Deed =
  /** kill -9; each comes back at once, but for the coordinator. */
  | 'agent killed'
  | 'coordinator killed'
  | 'coordinator killed, another one comes'
  | 'etcd killed'
  /** Agent and etcd are gone together, and come back. */
  | 'power cut'
  /** The coordinator can't reach this node, or it and the next one, until the restore is over without it. */
  | 'network cut'
  | 'network cut, two nodes';

/** A cluster with a backup of it, which is restored again and again. */
export interface Disturbed {
  readonly scene: ManyNodes;
  readonly backup: BackupResult;
}

export const KEY = '/registry/wanted';

/** Writes what the backup is to have, and backs up. */
export async function prepareDisturbed(scene: ManyNodes): Promise<Disturbed> {
  const [first] = scene.nodes;
  assert.ok(first !== undefined);
  for (let number = 0; number < 50; number++) await first.etcd.put(`/registry/some/${number}`, `${number}`);
  await first.etcd.put(KEY, 'of the backup');
  return { scene, backup: await scene.backUp() };
}

/**
 * Restores and disturbs it; resolves to how it ended, which nobody but the nodes had to see to. Rejects at any mixture.
 * Where the machine is too slow for the state to come in time, there is another restore, which has twice the time.
 */
export async function disturbRestore(
  disturbed: Disturbed,
  disturbance: Disturbance,
  patience = 1,
): Promise<'restored' | 'as before'> {
  const { scene, backup } = disturbed;
  const { deed, state, node: at, goesBack } = disturbance;
  const victim = scene.nodes[at];
  const next = scene.nodes[(at + 1) % scene.nodes.length];
  assert.ok(victim !== undefined && next !== undefined);
  const known = await writeNewer(scene, `${deed} at ${state} on ${victim.name}`);
  const order = scene.order(backup.point, known.revision + 1_000n);
  const damaged = `${next.dirs.dataDir}/.etcdguardian/${order.operation}/staged/member/snap/db`;
  const truncated = goesBack ? next.place.path(damaged) : undefined;

  const halt = await victim.agent.haltAt(state);
  const budgets = timesLonger(patience);
  await using coordinator = await startCoordinator(scene, order, { truncated, budgets });
  const early = await Promise.race([halt.halted, coordinator.ended.then((end) => ({ end }))]);
  if (early !== undefined) {
    assert.ok(patience < MOST_PATIENCE, `never was ${victim.name} ${state}: ${JSON.stringify(early)}`);
    await halt.release();
    await untilOver(scene.nodes, order.operation);
    await judgeMembers(scene, known);
    await cleanUp(scene.nodes, order.operation);
    return await disturbRestore(disturbed, disturbance, 2 * patience);
  }
  await using further = new AsyncDisposableStack();
  let ended = coordinator.ended;
  switch (deed) {
    case 'agent killed':
      await victim.agent.kill();
      await victim.agent.start();
      break;
    case 'coordinator killed':
      await coordinator.kill();
      break;
    case 'coordinator killed, another one comes':
      await coordinator.kill();
      ended = further.use(await startCoordinator(scene, order, { budgets })).ended;
      break;
    case 'etcd killed':
      await victim.pods.kill('etcd.yaml');
      break;
    case 'power cut':
      await victim.powerOff();
      await victim.powerOn();
      break;
    case 'network cut':
    case 'network cut, two nodes': {
      const nodes = deed === 'network cut' ? [victim] : [victim, next];
      await Promise.all(nodes.map(({ place }) => place.cutFromHost()));
      await halt.release();
      await untilOverOrLeft(scene.nodes, order.operation, ended);
      await Promise.all(nodes.map(({ place }) => place.mend()));
    }
  }
  await halt.release();
  const states = await untilOver(scene.nodes, order.operation);
  const end = await ended;
  const result = await judgeMembers(scene, known);
  const expected = result === 'restored' ? ['Resumed'] : ['RolledBack', 'Failed', 'unaware'];
  const told = JSON.stringify({ result, states, end });
  assert.ok(
    states.every((one) => expected.includes(one ?? 'unaware')),
    told,
  );
  if (end?.kind === 'restored') assert.equal(result, 'restored', told);
  if (end?.kind === 'rolled-back') assert.equal(result, 'as before', told);
  await cleanUp(scene.nodes, order.operation);
  return result;
}

const MOST_PATIENCE = 8;

function timesLonger(patience: number): Budgets {
  const longer = Object.entries(SOON).map(([name, ms]) => [name, Number(ms) * patience]);
  return Object.fromEntries(longer) as Budgets;
}

/** What a restore takes away. */
export async function writeNewer(scene: Pick<ManyNodes, 'nodes'>, value: string): Promise<KnownData> {
  const [first] = scene.nodes;
  assert.ok(first !== undefined);
  await first.etcd.put(KEY, value);
  const lostKey = `/registry/newer/${randomUUID()}`;
  await first.etcd.put(lostKey, value);
  const { clusterId, revision } = await eventually('etcd tells its hash', () => first.etcd.proof());
  return { key: KEY, before: value, restored: 'of the backup', lostKey, clusterId, revision };
}

/** A network stays cut until the nodes have settled it among themselves, or the coordinator has given up. */
async function untilOverOrLeft(
  nodes: readonly ManyNode[],
  operation: string,
  ended: Promise<unknown>,
): Promise<void> {
  const over = eventually(
    'the nodes settle it, or the coordinator ends',
    async () => (await Promise.all(nodes.map((node) => node.journalState(operation)))).every(isOver),
    WHILE_CUT_MS,
  );
  over.catch(() => undefined);
  await Promise.race([over, ended]);
}

const WHILE_CUT_MS = 180_000;

/** The data before a restore is kept for a week, and there are many restores here. */
export async function cleanUp(nodes: readonly ManyNode[], operation: string): Promise<void> {
  for (const node of nodes) {
    if ((await node.journalState(operation)) !== 'Resumed') continue;
    await eventually('a restore is cleaned up', async () => {
      const { term } = await node.agent.client.takeTerm({ holder: 'controlplane/test' });
      return await node.agent.client.cleanUp({ fence: { operation, term } });
    });
  }
}
