import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { allKeys, fillWithHistory, liveHash, putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { backupAnswer, restoredAnswer, type RestoredAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { type ClusterToBe, startRestoredCluster } from '../harness/restored-cluster.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../harness/tools.ts';

const THREE = ['m1', 'm2', 'm3'];

/** The ways to make data dirs: from what, of how many members, how. */
const WAYS = [
  { source: 'backup', members: ['default'], how: 'alone' },
  { source: 'backup', members: THREE, how: 'each node by itself' },
  { source: 'backup', members: THREE, how: 'all members at once' },
  { source: 'file', members: ['default'], how: 'alone' },
  { source: 'file', members: THREE, how: 'each node by itself' },
  { source: 'file', members: ['default'], how: 'alone, without a bump' },
] as const;

const matrix = ETCD_VERSIONS.flatMap((version) => WAYS.map((way) => ({ version, ...way })));

for (const { version, source, members, how } of sample(matrix, 4, 'restored clusters')) {
  describe(`etcd ${version}`, needs(`etcd ${version}`, `etcdctl ${version}`), () => {
    test(`a ${source} restored to ${members.length} (${how}) is served, with the HashKV foretold`, async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version });
      await fillWithHistory(etcd, testRandom(`restored from a ${source} of ${version}`));
      const cli = guardianCli(folder);
      const from = source === 'backup' ? await backUp(cli, folder, etcd) : await save(folder, etcd);
      const [keys, { hash, revision }] = [await allKeys(etcd), await liveHash(etcd)];
      await etcd.kill();

      const restore = ['restore', ...from, ...(how === 'alone, without a bump' ? ['--no-bump'] : [])];
      await using restored = await startRestoredCluster(version, members, async (cluster) =>
        sameForAll(await makeDirs(cli, restore, cluster, how)),
      );

      const { made } = restored;
      assert.equal(made.snapshot.hashKV, hash);
      assert.equal(made.snapshot.currentRevision, revision.toString());
      for (const member of restored.members) {
        const live = await liveHash(member);
        assert.deepEqual([live.hash, live.revision.toString()], [made.hashKV, made.revision]);
        assert.deepEqual(await allKeys(member), keys);
      }
      if (how === 'alone, without a bump') assert.equal(made.revision, revision.toString());
      else assert.ok(BigInt(made.revision) > revision + 100_000_000n, made.revision);
      const [member] = restored.members;
      if (member !== undefined) assert.equal(await putOne(member, 'new', ''), BigInt(made.revision) + 1n);
    });
  });
}

async function backUp(cli: GuardianCli, folder: TemporaryFolder, etcd: Etcd): Promise<string[]> {
  const store = ['--cluster', 'prod', ...localStoreOptions(folder)];
  await cli.json(backupAnswer, ['backup', 'create', '--endpoints', etcd.endpoint, ...store]);
  return store;
}

async function save(folder: TemporaryFolder, etcd: Etcd): Promise<string[]> {
  const file = folder.join('snapshot.db');
  await etcd.etcdctl('snapshot', 'save', file);
  return ['--snapshot', file];
}

async function makeDirs(
  cli: GuardianCli,
  restore: readonly string[],
  { names, initialCluster, folder }: ClusterToBe,
  how: (typeof WAYS)[number]['how'],
): Promise<RestoredAnswer[]> {
  await mkdir(folder);
  const cluster = ['--initial-cluster', initialCluster];
  if (how === 'all members at once') {
    return [await cli.json(restoredAnswer, [...restore, ...cluster, '--all-members', '--data-dir', folder])];
  }
  const answers: RestoredAnswer[] = [];
  for (const name of names) {
    const own = ['--name', name, '--data-dir', join(folder, name)];
    answers.push(await cli.json(restoredAnswer, [...restore, ...cluster, ...own]));
  }
  return answers;
}

/** Nodes that restore by themselves must come to one cluster: same ids, same token, same revision. */
function sameForAll(answers: readonly RestoredAnswer[]): RestoredAnswer {
  const [first] = answers;
  if (first === undefined) throw new Error('nothing was restored');
  for (const { clusterId, token, revision, hashKV } of answers) {
    assert.deepEqual(
      { clusterId, token, revision, hashKV },
      {
        clusterId: first.clusterId,
        token: first.token,
        revision: first.revision,
        hashKV: first.hashKV,
      },
    );
  }
  return first;
}

const STEPS_DOWN: readonly (readonly [EtcdVersion, EtcdVersion])[] = [
  ['3.7.3', '3.6.16'],
  ['3.6.16', '3.5.35'],
  ['3.5.35', '3.4.23'],
];

for (const [from, to] of sample(STEPS_DOWN, 1, 'downgrades')) {
  test(
    `a snapshot of etcd ${from} restored for ${to} is served by ${to}`,
    needs(`etcd ${from}`, `etcdctl ${from}`, `etcd ${to}`, `etcdctl ${to}`),
    async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version: from });
      await putOne(etcd, 'a', 'b');
      const file = await save(folder, etcd);
      const keys = await allKeys(etcd);
      await etcd.kill();
      const cli = guardianCli(folder);
      const restore = ['restore', ...file, '--etcd-version', to];
      await using restored = await startRestoredCluster(to, ['default'], async (cluster) =>
        sameForAll(await makeDirs(cli, restore, cluster, 'alone')),
      );
      for (const member of restored.members) {
        assert.deepEqual(await allKeys(member), keys);
        assert.equal((await liveHash(member)).hash, restored.made.hashKV);
      }
    },
  );
}
