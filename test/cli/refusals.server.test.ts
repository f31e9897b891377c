import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { type Authority, createAuthority } from '../harness/certificates.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { freePort } from '../harness/free-port.ts';
import { listAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions, s3StoreOptions } from '../harness/guardian-store.ts';
import { startHttpProxy } from '../harness/http-proxy.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const REFUSED = 5;
const UNREACHABLE = 6;

describe('an etcd that wants certificates', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let authority: Authority;
  let stranger: Authority;
  let etcd: Etcd;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    [authority, stranger] = await Promise.all([createAuthority(), createAuthority('a stranger')]);
    etcd = await startEtcd({ tls: { authority, clientCertAuth: true } });
    cli = guardianCli(folder);
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await Promise.all([authority, stranger, folder].map((one) => one[Symbol.asyncDispose]()));
  });

  const create = (...tls: string[]): string[] => [
    ...['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod', ...tls],
    ...localStoreOptions(folder),
  ];

  test('is not believed when another CA is given', async () => {
    const { certificateFile, keyFile } = await authority.issue({ uses: ['client'] });
    const args = create('--cacert', stranger.certificateFile, '--cert', certificateFile, '--key', keyFile);
    const told = await cli.fails(REFUSED, 'etcd.tls', args);
    assert.ok(told.includes(etcd.endpoint), told);
    assert.match(told, /what to do: .*CA/);
    assert.equal(existsSync(folder.join('store')), false, 'nothing was written to the store');
  });

  test('refuses an expired certificate, and when it ended is told', async () => {
    const { certificateFile, keyFile } = await authority.issue({ uses: ['client'], expired: true });
    const args = create('--cacert', authority.certificateFile, '--cert', certificateFile, '--key', keyFile);
    const told = await cli.fails(REFUSED, 'etcd.tls', args);
    assert.ok(told.includes(etcd.endpoint) && told.includes(certificateFile), told);
    assert.match(told, /ended \d{4}-\d\d-\d\dT.*\n(.*\n)*.*what to do: renew it/);
  });

  test("refuses a stranger's certificate, and none", async () => {
    const { certificateFile, keyFile } = await stranger.issue({ uses: ['client'] });
    const trust = ['--cacert', authority.certificateFile];
    const foreign = await cli.fails(
      REFUSED,
      'etcd.tls',
      create(...trust, '--cert', certificateFile, '--key', keyFile),
    );
    assert.match(foreign, /doesn't trust its issuer/);
    const none = await cli.fails(REFUSED, 'etcd.tls', create(...trust));
    assert.match(none, /wants a client certificate/);
    const plain = create().map((arg) => arg.replace('https:', 'http:'));
    assert.match(await cli.fails(REFUSED, 'etcd.tls', plain), /what to do: write https:/);
  });
});

describe('an etcd with users', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd({ rootPassword: 'correct horse' });
    cli = guardianCli(folder);
    await etcd.etcdctl('user', 'add', 'reader:secret');
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const create = (...user: string[]): string[] => [
    ...['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod', ...user],
    ...localStoreOptions(folder),
  ];

  test('refuses a wrong password, and no user at all', async () => {
    const wrong = await cli.fails(REFUSED, 'etcd.unauthenticated', create('--user', 'root:battery staple'));
    assert.ok(wrong.includes(etcd.endpoint) && !wrong.includes('battery staple'), wrong);
    assert.match(wrong, /what to do: check the user name and password/);
    await cli.fails(REFUSED, 'etcd.unauthenticated', create());
    await cli.fails(2, 'usage.password', create('--user', 'root'));
  });

  test('gives no snapshot to a user without the role root, and how to grant it is told', async () => {
    const told = await cli.fails(REFUSED, 'etcd.permission-denied', create('--user', 'reader:secret'));
    assert.ok(told.includes(etcd.endpoint), told);
    assert.match(told, /what to do: .*etcdctl user grant-role/);
    assert.deepEqual(await cli.json(listAnswer, ['backup', 'list', ...localStoreOptions(folder)]), []);
  });
});

describe('a store that refuses', needs('versitygw'), () => {
  let folder: TemporaryFolder;
  let s3: S3Server;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    s3 = await startS3Server();
    await s3.createBucket('backups');
    cli = guardianCli(folder);
  });

  after(async () => {
    await s3[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test('is told by bucket and way out: wrong secret, unknown key, missing bucket', async () => {
    const list = (options: readonly string[]): string[] => ['backup', 'list', ...options];
    const wrong = s3StoreOptions({ ...s3, endpoint: s3.endpoint, secretAccessKey: 'wrong' }, 'backups/prod');
    assert.match(await cli.fails(REFUSED, 'store.denied', list(wrong)), /s3:\/\/backups\/prod/);
    const unknown = s3StoreOptions({ ...s3, endpoint: s3.endpoint, accessKeyId: 'nobody' }, 'backups/prod');
    await cli.fails(REFUSED, 'store.denied', list(unknown));
    const missing = await cli.fails(4, 'store.missing', list(s3StoreOptions(s3, 'nowhere/prod')));
    assert.match(missing, /what to do: Create the bucket/);
  });

  test('for a moment is asked again, and who wants quiet hears nothing of it', async () => {
    let broken = false;
    await using proxy = await startHttpProxy(s3.endpoint, () => {
      broken = !broken;
      return { kind: broken ? 'break' : 'pass' };
    });
    const list = ['backup', 'list', ...s3StoreOptions(s3, 'backups/empty', proxy.endpoint)];
    assert.match((await cli.run(list)).stderr, /^warning: .*; trying again\n/);
    assert.equal((await cli.run([...list, '--quiet'])).stderr, '');
  });

  test('and one that is not there: etcd or store unreachable ends with 6, within seconds', async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const started = performance.now();
    const told = await cli.fails(UNREACHABLE, 'store.unreachable', [
      'backup',
      'list',
      ...s3StoreOptions(s3, 'backups/prod', nobody),
    ]);
    assert.match(told, /tried 6 times/);
    const create = ['backup', 'create', '--cluster', 'prod', '--endpoints', nobody, '--attempts', '1'];
    await cli.fails(UNREACHABLE, 'etcd.refused', [...create, ...localStoreOptions(folder)]);
    assert.ok(performance.now() - started < 30_000);
  });
});
