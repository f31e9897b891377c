import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BACKUP_MOMENTS, type BackupMoment, isCommitted } from '../harness/backup-moments.ts';
import { type BackupScene, NEEDED_FOR_BACKUP_SCENE, startBackupScene } from '../harness/backup-scene.ts';
import { backupAnswer, sweptAnswer } from '../harness/guardian-answers.ts';
import { HOUR_MS } from '../harness/repository.ts';
import { sample } from '../harness/sampling.ts';
import type { ServerProcess } from '../harness/server-process.ts';

const INTERRUPTED = 130;
const NOTHING_THERE = /interrupted; nothing half-done is listed$/;
const MAY_BE_THERE =
  /interrupted; backup \S+ was being committed and may be there: see "etcdguardian backup list"/;
const COMMIT = 'writing the manifest';
/** After which a snapshot that sends nothing is given up. */
const SILENCE_MS = 20_000;

describe('a backup interrupted by Ctrl-C', NEEDED_FOR_BACKUP_SCENE, () => {
  let scene: BackupScene;

  before(async () => {
    scene = await startBackupScene('interrupted backups');
  });

  after(() => scene[Symbol.asyncDispose]());

  const endsInterrupted = async (backup: ServerProcess, said = NOTHING_THERE): Promise<void> => {
    backup.signal('SIGINT');
    assert.equal(await backup.exited, INTERRUPTED, backup.output());
    assert.match(backup.output(), said);
  };

  const interruptAt = (moment: BackupMoment, prefix: string): Promise<void> =>
    scene.stopAt(moment, scene.create(prefix), (backup) =>
      endsInterrupted(backup, moment.step === COMMIT ? MAY_BE_THERE : NOTHING_THERE),
    );

  const others = BACKUP_MOMENTS.filter(({ step }) => step !== COMMIT);
  const commits = BACKUP_MOMENTS.filter(({ step }) => step === COMMIT);
  for (const moment of [...commits, ...sample(others, 1, 'moments of interruption')]) {
    const { when, step } = moment;
    test(`${when} ${step} ends with 130, and nothing half-done is listed`, async () => {
      const prefix = `moment-${BACKUP_MOMENTS.indexOf(moment)}`;
      await interruptAt(moment, prefix);
      assert.equal((await scene.listed(prefix)).length, isCommitted(moment) ? 1 : 0);
      const { id } = await scene.cli.json(backupAnswer, scene.create(prefix));
      assert.ok((await scene.listed(prefix)).includes(id));
    });
  }

  const tidied = ['sending a later part', 'looking once more that the data is there'];
  for (const step of sample(tidied, 1, 'interruptions that tidy up')) {
    test(`while ${step} tidies up: neither object nor unfinished upload stays`, async () => {
      const moment = BACKUP_MOMENTS.find((one) => one.step === step);
      assert.ok(moment);
      const prefix = `tidy-${BACKUP_MOMENTS.indexOf(moment)}`;
      await interruptAt(moment, prefix);
      const future = { clock: () => new Date(Date.now() + 48 * HOUR_MS) };
      const swept = await scene.cli.json(sweptAnswer, ['backup', 'sweep', ...scene.store(prefix)], future);
      assert.deepEqual([swept.deleted, swept.abortedUploads], [[], 0]);
    });
  }

  test('while etcd has fallen silent in the middle ends long before the silence counts as a failure', async () => {
    const way = await scene.slowWay();
    const silent = Promise.withResolvers<undefined>();
    scene.follow(async ({ url }) => {
      if (url.includes('?uploads')) {
        await scene.etcd.kill('SIGSTOP');
        silent.resolve(undefined);
      }
      return { kind: 'pass' };
    });
    await using backup = await scene.cli.start(scene.create('silent', `http://${way.address}`));
    try {
      await Promise.race([silent.promise, backup.exited]);
      const since = performance.now();
      await endsInterrupted(backup);
      assert.ok(performance.now() - since < SILENCE_MS - 2_000);
    } finally {
      await scene.etcd.kill('SIGCONT');
    }
    assert.deepEqual(await scene.listed('silent'), []);
  });
});
