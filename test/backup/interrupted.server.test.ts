import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BACKUP_MOMENTS, type BackupMoment, catchMoment, isCommitted } from '../harness/backup-moments.ts';
import { fillWithNoise } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { backupAnswer, listAnswer, sweptAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { type HttpProxy, type ProxyScript, startHttpProxy } from '../harness/http-proxy.ts';
import { HOUR_MS } from '../harness/repository.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { type ServerProcess } from '../harness/server-process.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { startToxiproxy, type Toxiproxy } from '../harness/toxiproxy.ts';

const INTERRUPTED = 130;
const NOTHING_THERE = /interrupted; nothing half-done is listed$/;
const MAY_BE_THERE =
  /interrupted; backup \S+ was being committed and may be there: see "etcdguardian backup list"/;
const COMMIT = 'writing the manifest';
/** After which a snapshot that sends nothing is given up. */
const SILENCE_MS = 20_000;

describe('a backup interrupted by Ctrl-C', needs('etcd 3.6.16', 'versitygw', 'toxiproxy-server'), () => {
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
    await fillWithNoise(etcd, 17, testRandom('interrupted backups'));
    cli = guardianCli(folder);
  });

  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await Promise.all([etcd, s3, toxiproxy].map((server) => server[Symbol.asyncDispose]()));
    await folder[Symbol.asyncDispose]();
  });

  const store = (prefix: string, endpoint = s3.endpoint): string[] =>
    s3StoreOptions(s3, `backups/${prefix}`, endpoint);

  const start = async (prefix: string, endpoint = etcd.endpoint): Promise<ServerProcess> =>
    cli.start([
      ...['backup', 'create', '--endpoints', endpoint, '--cluster', 'prod'],
      ...store(prefix, proxy.endpoint),
    ]);

  const endsInterrupted = async (backup: ServerProcess, said = NOTHING_THERE): Promise<void> => {
    backup.signal('SIGINT');
    assert.equal(await backup.exited, INTERRUPTED, backup.output());
    assert.match(backup.output(), said);
  };

  const interruptAt = async (moment: BackupMoment, prefix: string): Promise<void> => {
    const { script: catching, caught } = catchMoment(moment);
    script = catching;
    await using backup = await start(prefix);
    await Promise.race([caught, backup.exited]);
    await endsInterrupted(backup, moment.step === COMMIT ? MAY_BE_THERE : NOTHING_THERE);
    script = () => ({ kind: 'pass' });
  };

  const listed = async (prefix: string): Promise<string[]> => {
    const entries = await cli.json(listAnswer, ['backup', 'list', ...store(prefix)]);
    for (const { state, id } of entries) assert.equal(state, 'sound', id);
    return entries.map(({ id }) => id);
  };

  const others = BACKUP_MOMENTS.filter(({ step }) => step !== COMMIT);
  const commits = BACKUP_MOMENTS.filter(({ step }) => step === COMMIT);
  for (const moment of [...commits, ...sample(others, 2, 'moments of interruption')]) {
    const { when, step } = moment;
    test(`${when} ${step} ends with 130, and nothing half-done is listed`, async () => {
      const prefix = `moment-${BACKUP_MOMENTS.indexOf(moment)}`;
      await interruptAt(moment, prefix);
      assert.equal((await listed(prefix)).length, isCommitted(moment) ? 1 : 0);
      const create = [
        'backup',
        'create',
        '--endpoints',
        etcd.endpoint,
        '--cluster',
        'prod',
        ...store(prefix),
      ];
      const { id } = await cli.json(backupAnswer, create);
      assert.ok((await listed(prefix)).includes(id));
    });
  }

  for (const step of ['sending a later part', 'looking once more that the data is there']) {
    test(`while ${step} tidies up: neither object nor unfinished upload stays`, async () => {
      const moment = BACKUP_MOMENTS.find((one) => one.step === step);
      assert.ok(moment);
      const prefix = `tidy-${BACKUP_MOMENTS.indexOf(moment)}`;
      await interruptAt(moment, prefix);
      const future = { clock: () => new Date(Date.now() + 48 * HOUR_MS) };
      const swept = await cli.json(sweptAnswer, ['backup', 'sweep', ...store(prefix)], future);
      assert.deepEqual([swept.deleted, swept.abortedUploads], [[], 0]);
    });
  }

  test('while etcd has fallen silent in the middle ends long before the silence counts as a failure', async () => {
    const way = await toxiproxy.createProxy(etcd.address);
    await way.addToxic({ type: 'bandwidth', kilobytesPerSecond: 10_000 });
    const streaming = Promise.withResolvers<undefined>();
    script = ({ url }) => {
      if (url.includes('?uploads')) streaming.resolve(undefined);
      return { kind: 'pass' };
    };
    await using backup = await start('silent', `http://${way.address}`);
    await Promise.race([streaming.promise, backup.exited]);
    await way.addToxic({ type: 'timeout', afterMs: 0 });
    const since = performance.now();
    await endsInterrupted(backup);
    assert.ok(performance.now() - since < SILENCE_MS / 2);
    assert.deepEqual(await listed('silent'), []);
  });
});
