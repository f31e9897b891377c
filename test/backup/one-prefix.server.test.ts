import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { callGateway } from '../harness/etcd-gateway.ts';
import { liveHash, putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { type BackupAnswer, backupAnswer, listAnswer, restoredAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions, s3StoreOptions } from '../harness/guardian-store.ts';
import { startRestoredCluster } from '../harness/restored-cluster.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { DEFAULT_ETCD, needs } from '../harness/tools.ts';

describe('one prefix', needs('etcd 3.6.16', 'etcdctl 3.6.16', 'versitygw'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let s3: S3Server;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    [etcd, s3] = await Promise.all([startEtcd(), startS3Server()]);
    await s3.createBucket('backups');
    await putOne(etcd, 'a', 'b');
    cli = guardianCli(folder);
  });

  after(async () => {
    await Promise.all([etcd, s3].map((server) => server[Symbol.asyncDispose]()));
    await folder[Symbol.asyncDispose]();
  });

  const create = (from: Etcd, store: readonly string[], cluster = 'prod'): string[] => [
    ...['backup', 'create', '--endpoints', from.endpoint, '--cluster', cluster, ...store],
  ];
  const back = (from: Etcd, store: readonly string[], cluster?: string): Promise<BackupAnswer> =>
    cli.json(backupAnswer, create(from, store, cluster));
  const list = async (store: readonly string[], ...more: string[]): Promise<string[]> => {
    const entries = await cli.json(listAnswer, ['backup', 'list', ...store, ...more]);
    return entries.map(({ state, cluster, timeline, id }) => `${state} ${cluster} ${timeline} ${id}`);
  };
  const restores = async (store: readonly string[], backup: BackupAnswer): Promise<void> => {
    const dataDir = folder.join(`restored-${backup.id}`);
    const which = ['--cluster', backup.cluster, '--backup', backup.id, '--data-dir', dataDir];
    const { snapshot } = await cli.json(restoredAnswer, ['restore', ...store, ...which]);
    assert.deepEqual([snapshot.currentRevision, snapshot.hashKV], [backup.revision, backup.hashKV.hash]);
  };

  for (const [kind, store] of [
    ['a local store', () => localStoreOptions(folder, 'at-once')],
    ['an S3 bucket', () => s3StoreOptions(s3, 'backups/at-once')],
  ] as const) {
    test(`of ${kind} takes several first backups at once: all are listed and can be restored`, async () => {
      const backups = await Promise.all(Array.from({ length: 3 }, () => back(etcd, store())));
      const expected = backups.map(({ cluster, timeline, id }) => `sound ${cluster} ${timeline} ${id}`);
      assert.deepEqual((await list(store())).sort(), expected.sort());
      assert.deepEqual(new Set(backups.map(({ timeline }) => timeline)), new Set(['000001']));
      for (const backup of backups) await restores(store(), backup);
    });
  }

  test('keeps two clusters apart, and asks which one is meant', async () => {
    await using other = await startEtcd();
    await putOne(other, 'other', 'cluster');
    const store = localStoreOptions(folder, 'two');
    const [prod, staging] = [await back(etcd, store, 'prod'), await back(other, store, 'staging')];
    assert.deepEqual(await list(store, '--cluster', 'staging'), [`sound staging 000001 ${staging.id}`]);
    assert.equal((await list(store)).length, 2);
    const told = await cli.fails(2, 'usage.cluster', ['backup', 'verify', ...store]);
    assert.match(told, /--cluster: prod, staging/);
    const wrong = ['backup', 'show', prod.id, '--cluster', 'staging', ...store];
    await cli.fails(4, 'repository.not-found', wrong);
    await restores(store, prod);
    await restores(store, staging);
  });

  test('keeps a cluster apart from one rebuilt on the same addresses, with the same etcd cluster id', async () => {
    const store = localStoreOptions(folder, 'rebuilt');
    await using cluster = await startEtcd();
    await putMany(cluster, 30, 'first');
    const { clusterId } = await cluster.status();
    const first = await back(cluster, store);

    // Lower revisions than the last backup's show that history went back.
    await rebuild(cluster);
    assert.equal((await cluster.status()).clusterId, clusterId, 'etcd itself sees no difference');
    await putMany(cluster, 10, 'second');
    const second = await cli.run(create(cluster, store));
    assert.match(second.stdout, /a new timeline begins: revision-went-back$/m, second.stderr);

    // Higher ones too, because the entries at earlier revisions differ.
    await rebuild(cluster);
    await putMany(cluster, 50, 'third');
    const third = await cli.run(create(cluster, store));
    assert.equal(third.status, 0, third.stderr);
    assert.match(third.stderr, /\[repository\.history-differs\]; trying again$/m);

    // The same history goes on where it was, and the newest timeline is the latest.
    await putMany(cluster, 1, 'third');
    const fourth = await back(cluster, store);
    assert.deepEqual([first.timeline, fourth.timeline], ['000001', '000003']);
    const shown = await cli.json(backupAnswer, ['backup', 'show', 'latest', ...store]);
    assert.equal(shown.id, fourth.id);
    assert.equal((await list(store)).length, 4);
    await restores(store, first);
  });

  test('begins a new timeline after a restore, above everything served before', async () => {
    const store = localStoreOptions(folder, 'after-a-restore');
    await using cluster = await startEtcd();
    await putMany(cluster, 5, 'first');
    const first = await back(cluster, store);
    await putMany(cluster, 5, 'later');
    const later = await back(cluster, store);
    await cluster.kill();

    await using restored = await startRestoredCluster(DEFAULT_ETCD, ['default'], (to) =>
      cli.json(restoredAnswer, [
        ...['restore', '--backup', first.id, ...store, '--initial-cluster', to.initialCluster],
        ...['--data-dir', `${to.folder}/default`],
      ]),
    );
    const [member] = restored.members;
    assert.ok(member);
    assert.ok(BigInt(restored.made.revision) > BigInt(later.revision));
    const next = await back(member, store);
    assert.deepEqual([later.timeline, next.timeline], ['000001', '000002']);
    assert.equal(next.hashKV.hash, (await liveHash(member)).hash);
    await restores(store, later);
    await restores(store, next);
  });
});

async function putMany(etcd: Etcd, many: number, value: string): Promise<void> {
  for (let number = 0; number < many; number++) await putOne(etcd, `key-${number}`, `${value} ${number}`);
}

/** The same member, on the same addresses, with nothing in it. */
async function rebuild(etcd: Etcd): Promise<void> {
  await etcd.kill();
  await rm(etcd.dataDir, { recursive: true });
  await etcd.restart();
  await callGateway(etcd, 'kv/put', { key: 'YQ==', value: 'YQ==' });
}
