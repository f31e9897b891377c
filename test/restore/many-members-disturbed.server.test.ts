import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RestoreStateName } from '../../lib/restore/cluster/restore-states.ts';
import {
  type Deed,
  type Disturbance,
  type Disturbed,
  disturbRestore,
  prepareDisturbed,
} from '../harness/many-nodes/disturb-restore.ts';
import { needsNodes } from '../harness/many-nodes/nodes-network.ts';
import { type ManyNodes, startManyNodes } from '../harness/many-nodes/start-nodes.ts';
import { sample, testRandom, WHOLE_MATRIX } from '../harness/sampling.ts';
import { ETCD_VERSIONS } from '../harness/tools.ts';

const FORWARD: readonly RestoreStateName[] = [
  ...(['Staging', 'Staged', 'Quiescing', 'Quiesced', 'Swapping', 'Swapped', 'Starting', 'Started'] as const),
  ...(['Verifying', 'Verified', 'Committed', 'Resuming', 'Resumed'] as const),
];
const BACK: readonly RestoreStateName[] = ['RollingBack', 'RolledBack'];
const DEEDS: readonly Deed[] = [
  ...(['agent killed', 'etcd killed', 'power cut', 'network cut', 'network cut, two nodes'] as const),
  ...(['coordinator killed', 'coordinator killed, another one comes'] as const),
];
const NODES = [0, 1, 2];

/** Every deed at every step of every node; for the coordinator one node's steps do, as all take them together. */
const MATRIX: readonly Disturbance[] = DEEDS.flatMap((deed) =>
  [
    ...FORWARD.map((state) => [state, false] as const),
    ...BACK.map((state) => [state, true] as const),
  ].flatMap(([state, goesBack], at) =>
    (deed.startsWith('coordinator') ? [at % NODES.length] : NODES).map((node) => ({
      ...{ deed, state, node, goesBack },
    })),
  ),
);

/** Quick ones, where nobody has to wait for a deadline, and slow ones. */
const isSlow = ({ deed }: Disturbance): boolean => /^(network cut|coordinator killed$)/.test(deed);
const QUICK = MATRIX.filter((one) => !isSlow(one));
const SLOW = MATRIX.filter(isSlow);

// In the whole matrix each version has every third point of it, so that all three together have all.
const VERSIONS = ETCD_VERSIONS.filter((version) => !version.startsWith('3.4.'));
const chosen = WHOLE_MATRIX ? VERSIONS : [testRandom('version of many members').pick(VERSIONS)];

for (const [turn, version] of chosen.entries()) {
  const points = WHOLE_MATRIX
    ? MATRIX.filter((_, at) => at % VERSIONS.length === turn)
    : [...sample(QUICK, 2, 'quick disturbances'), ...sample(SLOW, 1, 'slow disturbances')];

  describe(
    `a restore of three members ends on all of them alike (etcd ${version})`,
    needsNodes(`etcd ${version}`, 'versitygw'),
    () => {
      let scene: ManyNodes;
      let disturbed: Disturbed;
      before(async () => {
        scene = await startManyNodes({ version });
        disturbed = await prepareDisturbed(scene);
      });
      after(() => scene[Symbol.asyncDispose]());

      for (const point of points) {
        const { deed, state, node, goesBack } = point;
        test(`${deed} at ${state} of node-${node + 1}`, async (context) => {
          const result = await disturbRestore(disturbed, point);
          if (goesBack) assert.equal(result, 'as before');
          context.diagnostic(result);
        });
      }
    },
  );
}
