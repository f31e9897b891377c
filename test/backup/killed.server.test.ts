import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  BACKUP_MOMENTS,
  type BackupMoment,
  catchMoment,
  FIRST_BACKUP_MOMENTS,
  isCommitted,
} from '../harness/backup-moments.ts';
import { fillWithNoise, liveHash, putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import {
  backupAnswer,
  listAnswer,
  restoredAnswer,
  sweptAnswer,
  verifiedAnswer,
} from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { type HttpProxy, type ProxyScript, startHttpProxy } from '../harness/http-proxy.ts';
import { HOUR_MS } from '../harness/repository.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { startToxiproxy, type Toxiproxy } from '../harness/toxiproxy.ts';

describe('a backup whose process is killed', needs('etcd 3.6.16', 'versitygw', 'toxiproxy-server'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let s3: S3Server;
  let toxiproxy: Toxiproxy;
  let proxy: HttpProxy;
  let script: ProxyScript = () => ({ kind: 'pass' });
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    [etcd, s3, toxiproxy] = await Promise.all([startEtcd(), startS3Server(), startToxiproxy()]);
    proxy = await startHttpProxy(s3.endpoint, (request) => script(request));
    await s3.createBucket('backups');
    await fillWithNoise(etcd, 17, testRandom('killed backups'));
    cli = guardianCli(folder);
  });

  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await Promise.all([etcd, s3, toxiproxy].map((server) => server[Symbol.asyncDispose]()));
    await folder[Symbol.asyncDispose]();
  });

  const direct = (prefix: string): string[] => s3StoreOptions(s3, `backups/${prefix}`);
  const create = (prefix: string, endpoint = etcd.endpoint): string[] => [
    ...['backup', 'create', '--endpoints', endpoint, '--cluster', 'prod'],
    ...s3StoreOptions(s3, `backups/${prefix}`, proxy.endpoint),
  ];

  /** Starts a backup and kills it when the moment has come. */
  const kill = async (moment: BackupMoment, args: readonly string[]): Promise<void> => {
    const { script: catching, caught } = catchMoment(moment);
    script = catching;
    await using backup = await cli.start(args);
    const early = backup.exited.then((how) => {
      throw new Error(`it ended (${how}) before ${moment.step}:\n${backup.output()}`);
    });
    await Promise.race([caught, early]);
    early.catch(() => undefined);
    await backup.kill();
    script = () => ({ kind: 'pass' });
  };

  const listed = async (prefix: string): Promise<string[]> => {
    const entries = await cli.json(listAnswer, ['backup', 'list', ...direct(prefix)]);
    for (const { state, id } of entries) assert.equal(state, 'sound', id);
    return entries.map(({ id }) => id);
  };

  test('leaves earlier backups listed, and nothing half-done, at whatever step it was', async () => {
    // The first backup in a store makes requests of its own; those that are killed are like the second one.
    const first = await cli.json(backupAnswer, create('steps'));
    const seenBefore = proxy.seen.length;
    const second = await cli.json(backupAnswer, create('steps'));
    const requests = proxy.seen.length - seenBefore;
    let there = [second.id, first.id];
    for (const moment of sample(BACKUP_MOMENTS, 3, 'moments of killing')) {
      await kill(moment, create('steps'));
      const now = await listed('steps');
      const told = `killed ${moment.when} ${moment.step}`;
      assertHolds(now, there, told);
      assert.equal(now.length, there.length + (isCommitted(moment) ? 1 : 0), told);
      there = now;
    }
    const random = testRandom('a moment of killing');
    const number = random.integer(0, requests - 1);
    const seen = proxy.seen.length;
    const anyRequest = { step: `request ${number}`, isIt: () => proxy.seen.length > seen + number };
    await kill({ ...anyRequest, when: random.pick(['before', 'after']) }, create('steps'));
    assertHolds(await listed('steps'), there, anyRequest.step);

    // Life goes on: the next backup works, the remains go, and what is listed is whole and can be restored.
    await putOne(etcd, 'after', 'the kills');
    const next = await cli.json(backupAnswer, create('steps'));
    const nextDay = { clock: () => new Date(Date.now() + 25 * HOUR_MS) };
    const swept = await cli.json(sweptAnswer, ['backup', 'sweep', ...direct('steps')], nextDay);
    assert.deepEqual([swept.refused, swept.unknown], [[], []]);
    const again = await cli.json(sweptAnswer, ['backup', 'sweep', ...direct('steps')], nextDay);
    assert.deepEqual([again.deleted, again.abortedUploads], [[], 0]);
    const kept = await listed('steps');
    const chains = join(s3.folder, 'backups/steps/clusters/prod/timelines/000001/chains');
    assert.deepEqual((await readdir(chains)).sort(), [...kept].sort());
    for (const each of kept) {
      const verify = ['backup', 'verify', each, '--deep', ...direct('steps')];
      assert.equal((await cli.json(verifiedAnswer, verify)).sound, true);
    }
    const restore = ['restore', ...direct('steps'), '--data-dir', folder.join('restored')];
    const { snapshot } = await cli.json(restoredAnswer, restore);
    assert.deepEqual(
      [snapshot.currentRevision, snapshot.hashKV],
      [next.revision, (await liveHash(etcd)).hash],
    );
  });

  test('while etcd still streams leaves an unfinished upload, which a sweep aborts', async () => {
    const slow = await toxiproxy.createProxy(etcd.address);
    await slow.addToxic({ type: 'bandwidth', kilobytesPerSecond: 10_000 });
    const part = BACKUP_MOMENTS.find(({ step }) => step === 'sending the first part');
    assert.ok(part);
    await kill(part, create('streaming', `http://${slow.address}`));
    assert.deepEqual(await listed('streaming'), []);
    const nextDay = { clock: () => new Date(Date.now() + 25 * HOUR_MS) };
    const sweep = ['backup', 'sweep', ...direct('streaming')];
    assert.equal((await cli.json(sweptAnswer, sweep)).abortedUploads, 0, 'it may still go on');
    assert.equal((await cli.json(sweptAnswer, sweep, nextDay)).abortedUploads, 1);
  });

  test('before anything was there leaves a prefix that the next backup takes as its own', async () => {
    for (const [index, moment] of sample(FIRST_BACKUP_MOMENTS, 1, 'moments of the first').entries()) {
      const prefix = `first-${index}`;
      await kill(moment, create(prefix));
      assert.deepEqual(await listed(prefix), []);
      const { id, timeline } = await cli.json(backupAnswer, create(prefix));
      assert.equal(timeline, '000001', `killed ${moment.when} ${moment.step}`);
      assert.deepEqual(await listed(prefix), [id]);
    }
  });
});

/** Backups of one revision and one second are listed in any order. */
function assertHolds(all: readonly string[], some: readonly string[], told: string): void {
  for (const id of some) assert.ok(all.includes(id), `${told}: ${id} is gone from ${all.join()}`);
}
