import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type EtcdCluster, startEtcdCluster } from '../harness/etcd-cluster.ts';
import { putOne } from '../harness/etcd-content.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { backupAnswer, listAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const UNSOUND = 3;

describe('of a cluster', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let cluster: EtcdCluster;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    cluster = await startEtcdCluster();
    await putOne(await cluster.leader(), 'a', 'b');
    cli = guardianCli(folder);
  });

  after(async () => {
    await cluster[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const create = (members: readonly Etcd[]): string[] => [
    ...['backup', 'create', '--endpoints', members.map(({ endpoint }) => endpoint).join(',')],
    ...['--cluster', 'prod', ...localStoreOptions(folder)],
  ];

  test('a follower is chosen, and another follower asked for the proof', async () => {
    const leader = await cluster.leader();
    const backup = await cli.json(backupAnswer, create(cluster.members));
    assert.notEqual(backup.etcd.endpoint, leader.endpoint);
    assert.equal(backup.proof.kind, 'live-hashkv');
    assert.ok(![leader.endpoint, backup.etcd.endpoint].includes(String(backup.proof.endpoint)));
  });

  test('a dead member is passed over', async () => {
    const dead = await cluster.follower();
    await dead.kill();
    const backup = await cli.json(backupAnswer, create(cluster.members));
    assert.notEqual(backup.etcd.endpoint, dead.endpoint);
    await dead.restart();
  });

  test('a member with a CORRUPT alarm is not chosen nor asked, and must be replaced, it is said', async () => {
    const corrupt = await cluster.follower();
    const alarm = { memberID: (await corrupt.status()).memberId.toString(), alarm: 'CORRUPT' };
    await callGateway(await cluster.leader(), 'maintenance/alarm', { action: 'ACTIVATE', ...alarm });
    try {
      const told = await cli.run([...create(cluster.members), '--output', 'json']);
      assert.equal(told.status, 0, told.stderr);
      const backup = backupAnswer.parse(JSON.parse(told.stdout));
      assert.notEqual(backup.etcd.endpoint, corrupt.endpoint);
      assert.equal(backup.proof.kind, 'live-hashkv');
      assert.notEqual(backup.proof.endpoint, corrupt.endpoint);
      assert.match(told.stderr, new RegExp(`warning: an alarm calls ${corrupt.endpoint} CORRUPT`));
      const refused = await cli.fails(1, 'etcd.no-member', create([corrupt]));
      assert.match(refused, new RegExp(`${corrupt.endpoint} has a CORRUPT alarm`));
    } finally {
      await callGateway(await cluster.leader(), 'maintenance/alarm', { action: 'DEACTIVATE', ...alarm });
    }
  });

  test('a member whose data silently differs is found by the proof, and its snapshot is no backup', async () => {
    const follower = await cluster.follower();
    await putOne(await cluster.leader(), 'marked', 'the same on all members');
    await eventually('all members have it', async () =>
      (await follower.etcdctl('get', 'marked', '--consistency=s')).includes('the same'),
    );
    await follower.stop();
    const file = join(follower.dataDir, 'member', 'snap', 'db');
    const bytes = await readFile(file);
    const changed = Buffer.from(bytes);
    // Free pages hold older copies: which of them is live is not told by their order.
    for (let at = -1; (at = bytes.indexOf('the same on all members', at + 1)) >= 0;) changed.write('THE', at);
    await writeFile(file, changed);
    await follower.restart();

    const told = await cli.fails(UNSOUND, 'backup.hash-mismatch', create(cluster.members));
    const [, ...endpoints] =
      /the snapshot of (\S+) has HashKV \d+ .*, but (\S+) answers \d+/.exec(told) ?? [];
    assert.ok(endpoints.includes(follower.endpoint), told);
    assert.match(told, /what to do: the members of this cluster hold different data/);
    const before = await cli.json(listAnswer, ['backup', 'list', ...localStoreOptions(folder)]);
    assert.ok(before.every((entry) => entry.state === 'sound' && entry.proof.kind === 'live-hashkv'));

    await follower.stop();
    await writeFile(file, bytes);
    await follower.restart();
    await cli.json(backupAnswer, create(cluster.members));
  });

  test('a learner is not chosen, even alone', async () => {
    const learner = await cluster.addLearner();
    const voters = cluster.members.filter((member) => member !== learner);
    for (let time = 0; time < 2; time++) {
      const backup = await cli.json(backupAnswer, create([learner, ...voters]));
      assert.notEqual(backup.etcd.endpoint, learner.endpoint);
      assert.notEqual(backup.proof.endpoint, learner.endpoint);
    }
    const refused = await cli.fails(1, 'etcd.no-member', create([learner]));
    assert.match(refused, new RegExp(`${learner.endpoint} is a learner`));
  });
});

test(
  'endpoints of two clusters are refused, with both ids',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using one = await startEtcd();
    await using other = await startEtcd();
    const told = await guardianCli(folder).fails(1, 'etcd.mixed-clusters', [
      ...['backup', 'create', '--endpoints', `${one.endpoint},${other.endpoint}`],
      ...['--cluster', 'prod', ...localStoreOptions(folder)],
    ]);
    assert.match(told, /belong to different clusters: http\S+ to [0-9a-f]+, http\S+ to [0-9a-f]+/);
  },
);
