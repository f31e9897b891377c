import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coordinateRestore } from '../../lib/restore/cluster/coordinate-restore.ts';
import { sample } from '../../test/harness/sampling.ts';
import { ETCD_VERSIONS, needs } from '../../test/harness/tools.ts';
import { coordinatorTools, startRestoreScene, untilJournalSays } from './restore-scene.fixture.ts';

/** Where the agent is ended by kill -9; each on another member, with a log of its own or not. */
const MOMENTS = [
  ...['Staging', 'Quiescing', 'Swapping', 'Swapped', 'Starting', 'Verifying', 'Committed', 'Resuming'],
] as const;
const VERSIONS = ETCD_VERSIONS.filter((version) => !version.startsWith('3.4.'));

for (const [at, moment] of sample(MOMENTS, 2, 'agents killed').entries()) {
  const version = VERSIONS[at % VERSIONS.length] ?? '3.6.16';
  test(
    `an agent that is killed at ${moment} or soon after goes on where it was (etcd ${version})`,
    needs(`etcd ${version}`, 'versitygw'),
    async () => {
      await using scene = await startRestoreScene({ version, separateWal: at % 2 === 0, agent: 'apart' });
      const first = await scene.startAgentProcess();
      await scene.put('/registry/a', 'old');
      const backup = await scene.backUp();
      await scene.put('/registry/a', 'new');
      const order = scene.order(backup);
      // Some are over within a millisecond: then it is killed at the next one.
      const sinceThen = [...MOMENTS.slice(MOMENTS.indexOf(moment)), 'Resumed'];
      const killed = untilJournalSays(scene.journal(order.operation), sinceThen).then(async () => {
        await first.kill();
        await scene.startAgentProcess();
      });
      const outcome = await coordinateRestore(order, [scene.participant()], coordinatorTools());
      await killed;
      assert.equal(
        outcome.kind,
        'restored',
        JSON.stringify(outcome, (_key, value: unknown) => String(value)),
      );
      assert.equal(await scene.get('/registry/a'), 'old');
    },
  );
}
