import assert from 'node:assert/strict';
import { restoreStateName, stageOf } from '../../../lib/restore/cluster/restore-states.ts';
import { eventually } from '../eventually.ts';
import type { ManyNode, ManyNodes } from './start-nodes.ts';

/** What every member had before a restore, and what the restored data has. */
export interface KnownData {
  /** The key that both have, with other values. */
  readonly key: string;
  readonly before: string;
  readonly restored: string;
  /** Only what the cluster had before has it. */
  readonly lostKey: string;
  readonly clusterId: bigint;
  readonly revision: bigint;
}

/** Nodes settle what nobody leads by themselves, each past its deadline, with pauses that grow. */
const SETTLING_MS = 180_000;

/** Waits until the journals of these nodes say that a restore is over, and resolves to what they say. */
export async function untilOver(
  nodes: readonly ManyNode[],
  operation: string,
): Promise<(string | undefined)[]> {
  let states: (string | undefined)[] = [];
  try {
    return await eventually(
      'the restore is over on all nodes',
      async () => {
        states = await Promise.all(nodes.map((node) => node.journalState(operation)));
        return states.every(isOver) ? states : undefined;
      },
      SETTLING_MS,
    );
  } catch (error) {
    const said = nodes.map(
      ({ name, agent }, at) => `${name} is ${states[at] ?? 'unaware'}:\n${agent.output()}`,
    );
    throw new Error(said.join('\n'), { cause: error });
  }
}

export function isOver(state: string | undefined): boolean {
  const name = state === undefined ? undefined : restoreStateName(state);
  return state === undefined || (name !== undefined && stageOf(name) === 'over');
}

/**
 * Judges by data alone, as every member has it: which values, which keys, which cluster, one hash. Resolves to whose data
 * it is; rejects where members differ, or where it is neither.
 */
export async function judgeMembers(
  { nodes }: Pick<ManyNodes, 'nodes'>,
  known: KnownData,
): Promise<'restored' | 'as before'> {
  const seen = await eventually('all members serve the same', async () => {
    // Something may write all the time.
    const now = await Promise.all(nodes.map(async ({ etcd }) => (await etcd.proof()).revision));
    const revision = now.reduce((a, b) => (a < b ? a : b));
    const all = await Promise.all(
      nodes.map(async ({ etcd }) => ({
        ...(await etcd.proof(revision)),
        value: await etcd.get(known.key),
        lost: await etcd.get(known.lostKey),
        members: (await etcd.client.members()).members.length,
      })),
    );
    const [first] = all;
    assert.ok(first !== undefined);
    for (const one of all) assert.deepEqual(one, first);
    return first;
  });
  const { clusterId, revision, value, lost, members } = seen;
  assert.equal(members, nodes.length);
  if (value === known.before) {
    assert.equal(clusterId, known.clusterId, 'the data of before, in another cluster');
    assert.ok(revision >= known.revision, 'a revision was lost');
    assert.equal(lost, known.before, 'a key that was written before the restore is gone');
    return 'as before';
  }
  assert.equal(value, known.restored);
  assert.notEqual(clusterId, known.clusterId);
  assert.equal(lost, undefined);
  assert.ok(revision > known.revision, 'revisions begin below what was served');
  return 'restored';
}
