import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import {
  type BackupAnswer,
  backupAnswer,
  restoredAnswer,
  verifiedAnswer,
} from '../harness/guardian-answers.ts';
import { guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { keepWriting } from '../harness/keep-writing.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const WRITERS = 32;

test(
  'a backup while 32 writers write as fast as the cluster takes it is of one revision, proven and whole',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async (context) => {
    await using folder = await temporaryFolder();
    await using cluster = await startEtcdCluster();
    await using writes = await keepWriting(cluster.endpoints, { writers: WRITERS, tolerant: true });
    const cli = guardianCli(folder);
    const store = ['--cluster', 'prod', ...localStoreOptions(folder)];
    // Members lag behind one another: any of them may be read.
    const revisions = async (): Promise<bigint[]> => {
      const statuses = await Promise.all(cluster.members.map((member) => member.status()));
      return statuses.map(({ revision }) => revision).sort((a, b) => Number(a - b));
    };

    const [before, begun, written] = [(await revisions())[0] ?? 0n, performance.now(), writes.done()];
    const create = ['backup', 'create', '--endpoints', cluster.endpoints.join(','), ...store];
    const backups: BackupAnswer[] = [];
    for (let number = 0; number < 2; number++) backups.push(await cli.json(backupAnswer, create));
    const seconds = (performance.now() - begun) / 1000;
    const rate = (writes.done() - written) / seconds;
    const after = (await revisions()).at(-1) ?? 0n;
    await writes.stop();
    context.diagnostic(`${Math.round(rate)} writes/s during ${seconds.toFixed(1)} s of backups`);

    assert.ok(rate > 0, 'writes went on');
    for (const { id, revision, hashKV, proof, timeline } of backups) {
      const at = BigInt(revision);
      assert.ok(at >= before && at <= after, `${at}, of ${before} to ${after}`);
      assert.deepEqual([proof.kind, proof.revision, proof.hash], ['live-hashkv', revision, hashKV.hash]);
      assert.equal(timeline, '000001');
      const verified = await cli.json(verifiedAnswer, ['backup', 'verify', id, '--deep', ...store]);
      assert.deepEqual([verified.sound, verified.problems], [true, []]);
      const restore = ['restore', '--backup', id, ...store, '--data-dir', folder.join(id)];
      const { snapshot } = await cli.json(restoredAnswer, restore);
      assert.equal(snapshot.currentRevision, revision, 'the revision is the one in the file');
    }
  },
);
