import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  BACKUP_MOMENTS,
  type BackupMoment,
  FIRST_BACKUP_MOMENTS,
  isCommitted,
} from '../harness/backup-moments.ts';
import { type BackupScene, NEEDED_FOR_BACKUP_SCENE, startBackupScene } from '../harness/backup-scene.ts';
import { liveHash, putOne } from '../harness/etcd-content.ts';
import { backupAnswer, restoredAnswer, sweptAnswer, verifiedAnswer } from '../harness/guardian-answers.ts';
import { HOUR_MS } from '../harness/repository.ts';
import { sample, testRandom } from '../harness/sampling.ts';

describe('a backup whose process is killed', NEEDED_FOR_BACKUP_SCENE, () => {
  let scene: BackupScene;

  before(async () => {
    scene = await startBackupScene('killed backups');
  });

  after(() => scene[Symbol.asyncDispose]());

  const kill = (moment: BackupMoment, args: readonly string[]): Promise<void> =>
    scene.stopAt(moment, args, (backup) => backup.kill());

  test('leaves earlier backups listed, and nothing half-done, at whatever step it was', async () => {
    const { etcd, s3, proxy, cli, folder } = scene;
    // The first backup in a store makes requests of its own; those that are killed are like the second one.
    const first = await cli.json(backupAnswer, scene.create('steps'));
    const seenBefore = proxy.seen.length;
    const second = await cli.json(backupAnswer, scene.create('steps'));
    const requests = proxy.seen.length - seenBefore;
    let there = [second.id, first.id];
    for (const moment of sample(BACKUP_MOMENTS, 2, 'moments of killing')) {
      await kill(moment, scene.create('steps'));
      const now = await scene.listed('steps');
      const told = `killed ${moment.when} ${moment.step}`;
      assertHolds(now, there, told);
      assert.equal(now.length, there.length + (isCommitted(moment) ? 1 : 0), told);
      there = now;
    }
    const random = testRandom('a moment of killing');
    const number = random.integer(0, requests - 1);
    const seen = proxy.seen.length;
    const anyRequest = { step: `request ${number}`, isIt: () => proxy.seen.length > seen + number };
    await kill({ ...anyRequest, when: random.pick(['before', 'after']) }, scene.create('steps'));
    assertHolds(await scene.listed('steps'), there, anyRequest.step);

    // Life goes on: the next backup works, the remains go, and what is listed is whole and can be restored.
    await putOne(etcd, 'after', 'the kills');
    const next = await cli.json(backupAnswer, scene.create('steps'));
    const nextDay = { clock: () => new Date(Date.now() + 25 * HOUR_MS) };
    const swept = await cli.json(sweptAnswer, ['backup', 'sweep', ...scene.store('steps')], nextDay);
    assert.deepEqual([swept.refused, swept.unknown], [[], []]);
    const again = await cli.json(sweptAnswer, ['backup', 'sweep', ...scene.store('steps')], nextDay);
    assert.deepEqual([again.deleted, again.abortedUploads], [[], 0]);
    const kept = await scene.listed('steps');
    const chains = join(s3.folder, 'backups/steps/clusters/prod/timelines/000001/chains');
    assert.deepEqual((await readdir(chains)).sort(), [...kept].sort());
    for (const each of kept) {
      const verify = ['backup', 'verify', each, '--deep', ...scene.store('steps')];
      assert.equal((await cli.json(verifiedAnswer, verify)).sound, true);
    }
    const restore = ['restore', ...scene.store('steps'), '--data-dir', folder.join('restored')];
    const { snapshot } = await cli.json(restoredAnswer, restore);
    assert.deepEqual(
      [snapshot.currentRevision, snapshot.hashKV],
      [next.revision, (await liveHash(etcd)).hash],
    );
  });

  test('while etcd still streams leaves an unfinished upload, which a sweep aborts', async () => {
    const { cli } = scene;
    const slow = await scene.slowWay();
    const part = BACKUP_MOMENTS.find(({ step }) => step === 'sending the first part');
    assert.ok(part);
    await kill(part, scene.create('streaming', `http://${slow.address}`));
    assert.deepEqual(await scene.listed('streaming'), []);
    const nextDay = { clock: () => new Date(Date.now() + 25 * HOUR_MS) };
    const sweep = ['backup', 'sweep', ...scene.store('streaming')];
    assert.equal((await cli.json(sweptAnswer, sweep)).abortedUploads, 0, 'it may still go on');
    assert.equal((await cli.json(sweptAnswer, sweep, nextDay)).abortedUploads, 1);
  });

  test('before anything was there leaves a prefix that the next backup takes as its own', async () => {
    const { cli } = scene;
    for (const [index, moment] of sample(FIRST_BACKUP_MOMENTS, 1, 'moments of the first').entries()) {
      const prefix = `first-${index}`;
      await kill(moment, scene.create(prefix));
      assert.deepEqual(await scene.listed(prefix), []);
      const { id, timeline } = await cli.json(backupAnswer, scene.create(prefix));
      assert.equal(timeline, '000001', `killed ${moment.when} ${moment.step}`);
      assert.deepEqual(await scene.listed(prefix), [id]);
    }
  });
});

/** Backups of one revision and one second are listed in any order. */
function assertHolds(all: readonly string[], some: readonly string[], told: string): void {
  for (const id of some) assert.ok(all.includes(id), `${told}: ${id} is gone from ${all.join()}`);
}
