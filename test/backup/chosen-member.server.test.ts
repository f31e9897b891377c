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
    // Nobody stops the leader here: however slow the machine is, it stays the leader from a look to the end of a test.
    cluster = await startEtcdCluster({ args: ['--heartbeat-interval=100', '--election-timeout=5000'] });
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

  test('of a follower and the leader, neither proves itself: the third, which only etcd’s list names, does', async () => {
    const [leader, follower] = [await cluster.leader(), await cluster.follower()];
    const third = cluster.members.find((member) => member !== leader && member !== follower);
    const backup = await cli.json(backupAnswer, create([leader, follower]));
    assert.deepEqual([backup.etcd.endpoint, backup.proof.endpoint], [follower.endpoint, third?.endpoint]);
    await third?.kill();
    const without = await cli.json(backupAnswer, create([leader, follower]));
    assert.deepEqual([without.etcd.endpoint, without.proof.endpoint], [follower.endpoint, leader.endpoint]);
    assert.equal(without.proof.comparedWith, 'another member');
    await third?.restart();
  });

  test('a member whose data silently differs is left out, by the vote of the others, and named', async () => {
    const wrong = await cluster.follower();
    const mend = await makeDiffer(wrong);
    for (let time = 0; time < 2; time++) {
      const told = await cli.run([...create(cluster.members), '--output', 'json']);
      assert.equal(told.status, 0, told.stderr);
      const backup = backupAnswer.parse(JSON.parse(told.stdout));
      assert.notEqual(backup.etcd.endpoint, wrong.endpoint);
      assert.notEqual(backup.proof.endpoint, wrong.endpoint);
      assert.equal(backup.proof.kind, 'live-hashkv');
      // Either it was read first, or it was asked first.
      assert.match(
        told.stderr,
        new RegExp(`${wrong.endpoint}\\S* (holds different data and )?must be replaced`),
      );
    }
    await mend();
  });

  test('when two members differ and nobody else can be heard, nothing is committed, and both are named', async () => {
    const [leader, wrong] = [await cluster.leader(), await cluster.follower()];
    const third = cluster.members.find((member) => member !== leader && member !== wrong);
    const listed = ['backup', 'list', ...localStoreOptions(folder)];
    const before = await cli.json(listAnswer, listed);
    const mend = await makeDiffer(wrong);
    await third?.kill();
    const told = await cli.fails(UNSOUND, 'backup.hash-mismatch', create([leader, wrong]));
    assert.match(
      told,
      new RegExp(`the snapshot of \\S+ \\(${wrong.endpoint}\\) has HashKV \\d+ at revision`),
    );
    assert.match(
      told,
      new RegExp(`\\(${leader.endpoint}\\) answers \\d+: which of them is wrong can't be told`),
    );
    assert.match(told, /what to do: name all members with --endpoints/);
    assert.doesNotMatch(told, /trying again/);
    assert.equal((await cli.json(listAnswer, listed)).length, before.length);
    await third?.restart();
    await mend();
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

/** Changes a value in a member's file; resolves to what puts the file back. */
async function makeDiffer(member: Etcd): Promise<() => Promise<void>> {
  await putOne(member, 'marked', 'the same on all members');
  await eventually('it has the value', async () =>
    (await member.etcdctl('get', 'marked', '--consistency=s')).includes('the same'),
  );
  await member.stop();
  const file = join(member.dataDir, 'member', 'snap', 'db');
  const bytes = await readFile(file);
  const changed = Buffer.from(bytes);
  // Free pages hold older copies: which of them is live is not told by their order.
  for (let at = -1; (at = bytes.indexOf('the same on all members', at + 1)) >= 0;) changed.write('THE', at);
  await writeFile(file, changed);
  await member.restart();
  return async () => {
    await member.stop();
    await writeFile(file, bytes);
    await member.restart();
  };
}

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
