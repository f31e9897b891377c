import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fullBackup } from '../../lib/backup/full-backup.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import { RetryingStore } from '../../lib/storage/retrying-store.ts';
import { bucketSettings, impatient } from '../../lib/storage/s3-store.fixture.ts';
import { S3Store } from '../../lib/storage/s3-store.ts';
import { fillWithNoise } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { backupAnswer, listAnswer, verifiedAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { type ProxyScript, s3ErrorBody, startHttpProxy } from '../harness/http-proxy.ts';
import { HOUR_MS, repositorySettings } from '../harness/repository.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { testRandom } from '../harness/sampling.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { startToxiproxy } from '../harness/toxiproxy.ts';

const SLOW_DOWN = { kind: 'answer', status: 503, body: s3ErrorBody('SlowDown') } as const;

describe('a backup into a store in trouble', needs('etcd 3.6.16', 'versitygw', 'toxiproxy-server'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let s3: S3Server;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    [etcd, s3] = await Promise.all([startEtcd(), startS3Server()]);
    await s3.createBucket('backups');
    await fillWithNoise(etcd, 17, testRandom('store trouble'));
    cli = guardianCli(folder);
  });

  after(async () => {
    await Promise.all([etcd, s3].map((server) => server[Symbol.asyncDispose]()));
    await folder[Symbol.asyncDispose]();
  });

  const create = (prefix: string, endpoint: string): string[] => [
    ...['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'],
    ...s3StoreOptions(s3, `backups/${prefix}`, endpoint),
  ];

  const isWhole = async (prefix: string, id: string): Promise<void> => {
    const verify = ['backup', 'verify', id, '--deep', ...s3StoreOptions(s3, `backups/${prefix}`)];
    assert.equal((await cli.json(verifiedAnswer, verify)).sound, true);
  };

  test('that answers 503 for two seconds succeeds, having said so', async () => {
    let from: number | undefined;
    let refused = 0;
    const script: ProxyScript = ({ url }) => {
      if (url.includes('partNumber=')) from ??= performance.now();
      if (from === undefined || (performance.now() - from > 2_000 && refused > 1)) return { kind: 'pass' };
      refused += 1;
      return SLOW_DOWN;
    };
    await using proxy = await startHttpProxy(s3.endpoint, script);
    const { status, stdout, stderr } = await cli.run([...create('busy', proxy.endpoint), '--output', 'json']);
    assert.equal(status, 0, stderr);
    assert.ok(refused > 1, `${refused} requests were refused`);
    assert.match(stderr, /^warning: .*SlowDown.*; trying again$/m);
    await isWhole('busy', backupAnswer.parse(JSON.parse(stdout)).id);
  });

  test('that resets connections in the middle of parts succeeds', async () => {
    await using toxiproxy = await startToxiproxy();
    const way = await toxiproxy.createProxy(s3.address);
    // Half a part and the connection is gone; the retry comes when the way is whole again.
    const heal = await way.addToxic({ type: 'limit_data', bytes: 4 << 20, direction: 'upstream' });
    await using backup = await cli.start(create('reset', `http://${way.address}`));
    await backup.line(/^warning: .*part \d+.*; trying again$/);
    await heal();
    assert.equal(await backup.exited, 0, backup.output());
    await isWhole('reset', 'latest');
  });

  test('that is gone for good fails clearly, and nothing is listed when it is back', async () => {
    const settings = bucketSettings(s3);
    const store = new RetryingStore(new S3Store(settings, { retries: impatient }), impatient);
    const repository = await openRepository(repositorySettings(store));
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    let killing: Promise<void> | undefined;
    const failing = fullBackup(
      {
        ...{ cluster: 'prod', streamLimitMs: 60_000, attempts: 3 },
        proof: { mode: 'off', budgetBytes: 0 },
      },
      {
        ...{ client, repository, clock: () => new Date() },
        onEvent: ({ kind }) => {
          if (kind === 'streaming') killing ??= s3.kill();
        },
      },
    );
    await assert.rejects(failing, {
      code: 'store.unreachable',
      retryable: true,
      message: new RegExp(`tried ${impatient.attempts} times`),
    });
    await killing;
    await s3.restart();
    assert.deepEqual(await repository.listBackups('prod'), []);
    const later = repositorySettings(store, { clock: () => new Date(Date.now() + 25 * HOUR_MS) });
    const nextDay = await openRepository(later);
    assert.deepEqual((await nextDay.sweep()).refused, []);
    const again = await nextDay.sweep();
    assert.deepEqual([again.deleted, again.abortedUploads], [[], 0]);
  });

  test('that refuses for good is told with its answer, soon', async () => {
    const denied = { kind: 'answer', status: 403, body: s3ErrorBody('AccessDenied') } as const;
    const script: ProxyScript = ({ method }) => (method === 'POST' ? denied : { kind: 'pass' });
    await using proxy = await startHttpProxy(s3.endpoint, script);
    const told = await cli.fails(5, 'store.denied', create('denied', proxy.endpoint));
    assert.match(told, /AccessDenied.*\n(.*\n)*.*what to do: Allow s3:PutObject/);
    const list = ['backup', 'list', ...s3StoreOptions(s3, 'backups/denied')];
    assert.deepEqual(await cli.json(listAnswer, list), []);
  });
});
