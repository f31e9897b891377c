import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { backUpHistory, captureHistory } from '../../test/harness/made-chain.ts';
import { MadeHistory } from '../../test/harness/made-history.ts';
import { repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { verifySnapshotFile } from '../etcd/mvcc/verify-snapshot-file.ts';
import { hasCode } from '../guardian-error.ts';
import { openRepository } from '../repository/open-repository.ts';
import { LocalStore } from '../storage/local-store.ts';
import { mergedSource } from './merged-source.ts';
import { restoreOffline } from './offline-restore.ts';
import { planRestore } from './restore-plan.ts';

const MEMBERS = 'm1=http://a:2380,m2=http://b:2380';

test('a restore point is merged straight into the data dirs of all members, or leaves nothing', async () => {
  await using folder = await temporaryFolder();
  const history = new MadeHistory();
  history.grow(testRandom('merged source'), 300, [5n]);
  const store = new LocalStore(folder.join('store'));
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const log = repository.segments;
  const base = await backUpHistory(repository, history, { until: 100n, leases: [[5n, 60n]] });
  const tail = await captureHistory(log, log.tailOf(base), history, [180n]);
  assert.ok(tail.last !== undefined);
  const point = { base, segments: [tail.last], revision: 150n };
  const source = mergedSource(repository, log, point);
  const whole = folder.join('whole.db');
  await history.writeBase(whole, { until: 150n });
  const expected = await verifySnapshotFile(whole, { trailer: 'required' });

  const plan = (dataDir: string, bump: 'auto' | 'none'): ReturnType<typeof planRestore> => {
    const request = { dataDir, initialCluster: MEMBERS, allMembers: true, bump };
    return planRestore(request, { identity: 'x', currentRevision: 150n, highWater: 180n });
  };
  for (const bump of ['none', 'auto'] as const) {
    const steps = new Set<string>();
    const restored = await restoreOffline(source, plan(folder.join(bump), bump), {
      onStep: (step) => steps.add(step.kind === 'merging' ? step.progress.step : step.kind),
    });
    assert.deepEqual(
      restored.dirs.map(({ name }) => name),
      ['m1', 'm2'],
    );
    assert.equal(restored.verdict.hashKV, expected.hashKV);
    if (bump === 'none') assert.deepEqual([restored.revision, restored.hashKV], [150n, expected.hashKV]);
    else assert.ok(restored.revision > 180n);
    for (const step of ['fetching', 'merging', 'verifying', 'verified', 'writing', 'reading-back'])
      assert.ok(steps.has(step), step);
    assert.ok(source.size >= restored.verdict.totalSize, 'the room that is asked for is enough');
  }

  const gap = mergedSource(repository, log, { ...point, revision: 181n });
  const failed = restoreOffline(gap, plan(folder.join('failed'), 'auto'), { onStep: () => undefined });
  await assert.rejects(failed, (error) => hasCode(error, 'merge.gap'));
  assert.ok(!(await readdir(folder.path)).includes('failed'));
});
