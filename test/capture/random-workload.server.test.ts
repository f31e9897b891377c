import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRepository } from '../../lib/repository/open-repository.ts';
import { synthesizeBase } from '../../lib/repository/synthesize-base.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { startEtcd } from '../harness/etcd.ts';
import { startLiveCapture } from '../harness/live-capture.ts';
import { RandomWorkload } from '../harness/random-workload.ts';
import { repositorySettings } from '../harness/repository.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { ETCD_VERSIONS, needs } from '../harness/tools.ts';

for (const version of sample([...ETCD_VERSIONS], 1, 'random workload under capture')) {
  test(
    `whatever clients do to etcd ${version} at random, with compactions, is captured, and merged into new bases`,
    needs(`etcd ${version}`, `etcdctl ${version}`),
    async () => {
      const random = testRandom(`captured workload ${version}`);
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version });
      const store = new LocalStore(folder.join('store'));
      const repository = await openRepository(repositorySettings(store));
      await using capture = await startLiveCapture({
        ...{ endpoints: [etcd.endpoint], store },
        request: {
          rebase: {
            ...{ segments: 4, storedShare: 1e9, pauseMs: 0 },
            rebase: async ({ cluster, revision }, signal) => {
              const point = await repository.points.find(cluster, { kind: 'revision', revision }, { signal });
              const tools = { repository, log: repository.segments, folder: folder.path, signal };
              return synthesizeBase(point, tools);
            },
          },
        },
      });
      await capture.reached('chain');
      const [taken] = capture.of('base');
      assert.ok(taken !== undefined);
      const first = (await repository.find(taken.backup.cluster, taken.backup.id)).backup;

      const workload = new RandomWorkload(etcd, random);
      for (let round = 0; round < 5; round++) {
        await workload.run(random.integer(20, 60));
        if (round === 2) await workload.expireLeases();
        if (round > 0) await workload.compact(capture.client);
        await capture.stored((await etcd.status()).revision);
      }
      // Nothing is to expire while it is judged.
      await workload.endKept();
      await capture.reached('rebased');
      const { revision } = await etcd.status();
      await capture.stored(revision);
      await capture.stop();
      assert.equal((await assertCaptured(repository, etcd, first)).revision, revision);
      const newest = (await repository.find(first.cluster, 'latest')).backup;
      assert.ok(newest.manifest.synthetic !== undefined);
      assert.equal((await assertCaptured(repository, etcd, newest)).revision, revision);
      assert.deepEqual(capture.of('rebase-failed'), []);
      assert.deepEqual([capture.status().gaps, capture.status().bases], [0, 1]);
    },
  );
}
