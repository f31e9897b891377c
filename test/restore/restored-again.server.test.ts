import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { allKeys, liveHash, putOne } from '../harness/etcd-content.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { backupAnswer, type RestoredAnswer, restoredAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { type RestoredCluster, startRestoredCluster } from '../harness/restored-cluster.ts';
import { sample } from '../harness/sampling.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../harness/tools.ts';

for (const version of sample(ETCD_VERSIONS, 1, 'restored again')) {
  const tools = needs(`etcd ${version}`, `etcdctl ${version}`);

  test(
    `etcd ${version}: what was restored before is restored again, with the HashKV foretold`,
    tools,
    async () => {
      await using folder = await temporaryFolder();
      const cli = guardianCli(folder);
      const store = localStoreOptions(folder);
      await using etcd = await startEtcd({ version });
      for (let number = 0; number < 10; number++) await putOne(etcd, `key-${number % 4}`, `value ${number}`);
      await backUp(cli, etcd, store);

      await using first = await restored(cli, version, store);
      const [once] = first.members;
      assert.ok(once);
      await isServed(first);
      await putOne(once, 'key-1', 'after the first restore');
      await callGateway(once, 'kv/deleterange', { key: Buffer.from('key-2').toString('base64') });
      await backUp(cli, once, store);
      const keys = await allKeys(once);

      await using second = await restored(cli, version, store);
      await isServed(second);
      for (const member of second.members) assert.deepEqual(await allKeys(member), keys);
      assert.ok(BigInt(second.made.revision) > BigInt(first.made.revision));
    },
  );

  test(
    `etcd ${version}: an empty one, and one whose keys were all deleted, come back so`,
    tools,
    async () => {
      await using folder = await temporaryFolder();
      const cli = guardianCli(folder);
      await using etcd = await startEtcd({ version });
      const empty = localStoreOptions(folder, 'empty');
      await backUp(cli, etcd, empty);
      await putOne(etcd, 'a', 'b');
      await callGateway(etcd, 'kv/deleterange', { key: 'YQ==' });
      const deleted = localStoreOptions(folder, 'deleted');
      await backUp(cli, etcd, deleted);
      for (const store of [empty, deleted]) {
        await using cluster = await restored(cli, version, store);
        await isServed(cluster);
        for (const member of cluster.members) assert.deepEqual(await allKeys(member), []);
      }
    },
  );
}

async function backUp(cli: GuardianCli, etcd: Etcd, store: readonly string[]): Promise<void> {
  const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod', ...store];
  const { proof } = await cli.json(backupAnswer, create);
  assert.equal(proof.kind, 'live-hashkv');
}

async function restored(
  cli: GuardianCli,
  version: EtcdVersion,
  store: readonly string[],
): Promise<RestoredCluster<RestoredAnswer>> {
  return startRestoredCluster(version, ['default'], ({ folder, initialCluster }) =>
    cli.json(restoredAnswer, [
      ...['restore', ...store, '--data-dir', join(folder, 'default'), '--initial-cluster', initialCluster],
    ]),
  );
}

async function isServed({ members, made }: RestoredCluster<RestoredAnswer>): Promise<void> {
  for (const member of members) {
    const { hash, revision } = await liveHash(member);
    assert.deepEqual([hash, revision.toString()], [made.hashKV, made.revision]);
  }
}
