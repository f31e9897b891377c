import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { verifiedAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { s3StoreOptions } from '../harness/guardian-store.ts';
import { startHttpProxy } from '../harness/http-proxy.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { testRandom } from '../harness/sampling.ts';
import { needsSmallDisk, smallDisk } from '../harness/small-disk.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const MIB = 1 << 20;
/** More than the parts that an upload holds while they are sent. */
const DATABASE_MIB = 48;

describe('while a store takes nothing', needs('etcd 3.6.16', 'versitygw'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let s3: S3Server;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    [etcd, s3] = await Promise.all([startEtcd(), startS3Server()]);
    await s3.createBucket('backups');
    await fillWithNoise(etcd, DATABASE_MIB, testRandom('spools'));
    cli = guardianCli(folder);
  });

  after(async () => {
    await Promise.all([etcd, s3].map((server) => server[Symbol.asyncDispose]()));
    await folder[Symbol.asyncDispose]();
  });

  /** Parts of uploads wait before it until it is opened. */
  const gate = async (): Promise<Gate> => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const proxy = await startHttpProxy(s3.endpoint, async ({ url }) => {
      if (url.includes('partNumber=')) await promise;
      return { kind: 'pass' };
    });
    const open = (): void => {
      resolve(undefined);
    };
    return { endpoint: proxy.endpoint, open, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
  };

  const create = ({ endpoint }: Gate, prefix: string, spoolDir: string): string[] => [
    ...['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'],
    ...s3StoreOptions(s3, `backups/${prefix}`, endpoint),
    ...['--spool-memory', '2Mi', '--spool-dir', spoolDir],
  ];

  const isWhole = async (prefix: string): Promise<boolean> => {
    const verify = ['backup', 'verify', '--deep', ...s3StoreOptions(s3, `backups/${prefix}`)];
    return (await cli.json(verifiedAnswer, verify)).sound;
  };

  test('etcd is not held up: its stream ends, is verified and proven before the first part is stored', async () => {
    await using store = await gate();
    await using backup = await cli.start(create(store, 'spooled', folder.path));
    await backup.line(/^verified: revision/);
    await backup.line(/^proven: /);
    assert.deepEqual(await readdir(folder.path), [], 'the spool has no name');
    store.open();
    assert.equal(await backup.exited, 0, backup.output());
    assert.equal(await isWhole('spooled'), true);
  });

  test(
    'and the disk of the spool is full, etcd waits, a warning says so, and the backup succeeds',
    needsSmallDisk(),
    async () => {
      await using disk = await smallDisk(4 * MIB);
      await using store = await gate();
      await using backup = await cli.start(create(store, 'full', disk.path), disk);
      await backup.line(/^warning: no more spool on disk in .* \(no more room for the spool file/);
      // Parts being sent, spool memory and spool disk hold less than the database: etcd is being held up.
      assert.doesNotMatch(backup.output(), /verified:/);
      store.open();
      assert.equal(await backup.exited, 0, backup.output());
      assert.equal(await isWhole('full'), true);
    },
  );
});

interface Gate extends AsyncDisposable {
  readonly endpoint: string;
  open(): void;
}
