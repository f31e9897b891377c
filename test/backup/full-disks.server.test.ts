import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { listAnswer, sweptAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { HOUR_MS } from '../harness/repository.ts';
import { runProgram } from '../harness/run-program.ts';
import { startS3Server } from '../harness/s3.ts';
import { testRandom } from '../harness/sampling.ts';
import { needsSmallDisk, smallDisk } from '../harness/small-disk.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const MIB = 1 << 20;
const FAILED = 1;

describe('with a full disk', { ...needsSmallDisk(), ...needs('etcd 3.6.16', 'versitygw') }, () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;
  let create: string[];

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd();
    await fillWithNoise(etcd, 24, testRandom('full disks'));
    cli = guardianCli(folder);
    create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'];
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test('below an S3 server the backup fails clearly, and neither object nor upload stays', async () => {
    await using disk = await smallDisk(16 * MIB);
    await using s3 = await startS3Server({ disk });
    await s3.createBucket('backups');
    const store = s3StoreOptions(s3, 'backups/prod');
    const told = await cli.fails(FAILED, 'store.full', [...create, ...store]);
    assert.match(told, /s3:\/\/backups\/prod.*\n(.*\n)*.*what to do: Raise the quota or add storage/);
    assert.deepEqual(await cli.json(listAnswer, ['backup', 'list', ...store]), []);
    const nextDay = { clock: () => new Date(Date.now() + 25 * HOUR_MS) };
    const swept = await cli.json(sweptAnswer, ['backup', 'sweep', ...store], nextDay);
    assert.deepEqual([swept.deleted, swept.abortedUploads], [[], 0]);
  });

  test('in a local store the backup fails clearly, and gives its room back', async () => {
    await using disk = await smallDisk(16 * MIB);
    const store = ['--store', `file://${disk.path}/store`];
    await using backup = await cli.start([...create, ...store], disk);
    assert.equal(await backup.exited, FAILED, backup.output());
    assert.match(backup.output(), /\[store.full\]\n.*what to do: Free or add disk space/);
    await using list = await cli.start(['backup', 'list', ...store], disk);
    assert.equal(await list.exited, 0);
    assert.match(list.output(), /^no backups in /);
    const [command = '', ...within] = disk.within;
    const kibibytes = await runProgram(command, [...within, 'du', '-sk', disk.path]);
    assert.ok(Number.parseInt(kibibytes) < 100, kibibytes);
  });
});
