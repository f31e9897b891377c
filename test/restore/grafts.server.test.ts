import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { test } from 'node:test';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { EtcdCompactedError } from '../../lib/etcd/client/compacted-error.ts';
import { restoreOffline } from '../../lib/restore/offline-restore.ts';
import { planRestore } from '../../lib/restore/restore-plan.ts';
import { allKeys, compact, fillWithHistory, liveHash, putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { randomGrafts, withGrafts } from '../harness/random-grafts.ts';
import { startRestoredCluster } from '../harness/restored-cluster.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

for (const version of sample(['3.5.35', '3.6.16', '3.7.3'] as const, 1, 'grafts')) {
  test(
    `etcd ${version}: what is put on top of restored data is served by all members, with the HashKV foretold`,
    needs(`etcd ${version}`, `etcdctl ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      const random = testRandom(`grafts ${version}`);
      const file = folder.join('snapshot.db');
      const { revision, data } = await madeSnapshot(version, file);
      // Keys of the kinds that the history has: pods, secrets, events.
      const grafts = randomGrafts(random, '/registry/secrets/ns/n');
      const expected = withGrafts(data, grafts);

      await using restored = await startRestoredCluster(version, ['m1', 'm2', 'm3'], async (cluster) => {
        const { initialCluster, folder: dataDir } = cluster;
        const plan = planRestore(
          { dataDir, initialCluster, allMembers: true, bump: 'auto' },
          { identity: 'x', currentRevision: revision, highWater: revision },
        );
        const { size } = await stat(file);
        const open = (): AsyncIterable<Uint8Array> => createReadStream(file);
        const source = { label: 'a snapshot', open, size, trailer: 'required' } as const;
        const made = await restoreOffline(source, { ...plan, grafts }, { onStep: () => undefined });
        return { ...made, token: plan.token };
      });

      const { made, members } = restored;
      assert.deepEqual(made.onTop, { deleted: expected.gone.length, put: expected.put.length });
      for (const member of members) {
        const live = await liveHash(member);
        assert.deepEqual([live.hash, live.revision], [made.hashKV, made.revision]);
        assert.deepEqual(await dataOf(member), expected.data);
      }
      const [first] = members;
      assert.ok(first);
      // Whoever watched from the restored point, or from what was put on top of it, has to list anew.
      await using client = connectEtcd({ endpoints: [first.endpoint] });
      for (const startRevision of [revision + 1n, revision + 2n, made.revision - 1n]) {
        await assert.rejects(
          async () => {
            for await (const { kind } of client.watch({ key: '/', rangeEnd: '0', startRevision }))
              assert.equal(kind, 'created');
          },
          (error) => error instanceof EtcdCompactedError && error.compactRevision === made.revision,
        );
      }
      // It lives on: writes, a compaction, a start from what is on disk.
      assert.equal(await putOne(first, '/own/after', 'the restore'), made.revision + 1n);
      await compact(first, made.revision + 1n);
      await first.restart();
      expected.data.set('/own/after', 'the restore');
      assert.deepEqual(await dataOf(first), expected.data);
      await eventually('all members have the same hash', async () => {
        const hashes = await Promise.all(members.map(async (member) => (await liveHash(member)).hash));
        return new Set(hashes).size === 1;
      });
    },
  );
}

async function madeSnapshot(
  version: '3.5.35' | '3.6.16' | '3.7.3',
  file: string,
): Promise<{ revision: bigint; data: Map<string, string> }> {
  await using etcd = await startEtcd({ version });
  await fillWithHistory(etcd, testRandom(`history of grafts ${version}`));
  await etcd.etcdctl('snapshot', 'save', file);
  return { revision: (await etcd.status()).revision, data: await dataOf(etcd) };
}

async function dataOf(etcd: Etcd): Promise<Map<string, string>> {
  const kvs = (await allKeys(etcd)) as { key: string; value?: string }[];
  const text = (base64 = ''): string => Buffer.from(base64, 'base64').toString('latin1');
  return new Map(kvs.map(({ key, value }) => [text(key), text(value)]));
}
