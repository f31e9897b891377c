import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { backupAnswer, restoredAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions, s3StoreOptions } from '../harness/guardian-store.ts';
import { startS3Server } from '../harness/s3.ts';
import { testRandom } from '../harness/sampling.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { needsSmallDisk, smallDisk } from '../harness/small-disk.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { startToxiproxy } from '../harness/toxiproxy.ts';

const MIB = 1 << 20;
const slowly = needs('versitygw', 'toxiproxy-server');

describe('a restore', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;
  let file: string;

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd();
    cli = guardianCli(folder);
    await fillWithNoise(etcd, 4, testRandom('refused restores'));
    file = folder.join('snapshot.db');
    await etcd.etcdctl('snapshot', 'save', file);
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test('refuses an existing data dir, and leaves it as it is', async () => {
    const dataDir = folder.join('existing');
    await mkdir(dataDir);
    await writeFile(`${dataDir}/precious`, 'data');
    const told = await cli.fails(1, 'restore.data-dir-exists', [
      'restore',
      '--snapshot',
      file,
      '--data-dir',
      dataDir,
    ]);
    assert.match(told, new RegExp(`what to do: .*mv ${dataDir} ${dataDir}.old`));
    assert.deepEqual(await readdir(dataDir), ['precious']);
    assert.equal(await readFile(`${dataDir}/precious`, 'utf8'), 'data');
  });

  test('refuses all of several dirs when one of them exists', async () => {
    const dataDir = folder.join('several');
    await mkdir(`${dataDir}/m2`, { recursive: true });
    await writeFile(`${dataDir}/m2/precious`, 'data');
    const cluster = 'm1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380';
    const all = ['--all-members', '--initial-cluster', cluster, '--data-dir', dataDir];
    await cli.fails(1, 'restore.data-dir-exists', ['restore', '--snapshot', file, ...all]);
    assert.deepEqual(await readdir(dataDir), ['m2']);
    assert.deepEqual(await readdir(`${dataDir}/m2`), ['precious']);
  });

  test('takes the first dir back when the second can not be made', async () => {
    const dataDir = folder.join('half');
    await mkdir(dataDir);
    await symlink(folder.join('nowhere', 'at', 'all'), `${dataDir}/m2`);
    const cluster = 'm1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380';
    const all = ['--all-members', '--initial-cluster', cluster, '--data-dir', dataDir];
    const told = await cli.fails(4, 'disk.not-found', ['restore', '--snapshot', file, ...all]);
    assert.ok(told.includes(`${dataDir}/m2`), told);
    assert.deepEqual(await readdir(dataDir), ['m2']);
  });

  test('takes an empty dir', async () => {
    const dataDir = folder.join('empty');
    await mkdir(dataDir);
    await cli.json(restoredAnswer, ['restore', '--snapshot', file, '--data-dir', dataDir]);
    assert.ok(existsSync(`${dataDir}/member/snap/db`));
  });

  test('of a stored backup that was cut or changed fails, and leaves nothing', async () => {
    const store = localStoreOptions(folder, 'damaged');
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod', ...store];
    const { location } = await cli.json(backupAnswer, create);
    const base = `${new URL(location).pathname}/base.zst`;
    const bytes = await readFile(base);
    const dataDir = folder.join('from-damaged');
    const restore = ['restore', ...store, '--data-dir', dataDir];

    const at = testRandom('the byte of a base').integer(0, bytes.length);
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    await writeFile(base, changed);
    await cli.fails(3, 'repository.damaged', restore);
    assert.equal(existsSync(dataDir), false, `byte ${at}`);

    await writeFile(base, bytes);
    await truncate(base, bytes.length - 1);
    await cli.fails(3, 'repository.damaged', restore);
    assert.equal(existsSync(dataDir), false);
    await writeFile(base, bytes);
    await cli.json(restoredAnswer, restore);
  });

  test(
    'with a log on a disk without room is refused before anything is written',
    needsSmallDisk(),
    async () => {
      await using disk = await smallDisk(100 * MIB);
      const dirs = ['--data-dir', folder.join('roomy'), '--wal-dir', `${disk.path}/wal`];
      await using restore = await cli.start(['restore', '--snapshot', file, ...dirs], disk);
      assert.equal(await restore.exited, 1, restore.output());
      const told = `the restore needs 128000000 bytes, and the disk of ${disk.path} has \\d+ free \\[restore.no-space\\]`;
      assert.match(restore.output(), new RegExp(told));
      assert.match(restore.output(), /what to do: .*with --wal-dir$/m);
      assert.equal(existsSync(folder.join('roomy')), false);
    },
  );

  test('to a disk without room is refused before anything is written', needsSmallDisk(), async () => {
    await using disk = await smallDisk(64 * MIB);
    const dataDir = `${disk.path}/data`;
    await using restore = await cli.start(['restore', '--snapshot', file, '--data-dir', dataDir], disk);
    assert.equal(await restore.exited, 1);
    assert.match(restore.output(), /needs \d+ bytes.*\[restore.no-space\]\n.*what to do: /);
  });

  test('that is interrupted ends with 130 and leaves nothing', slowly, async () => {
    await using slow = await slowRestore('interrupted');
    slow.restore.signal('SIGINT');
    assert.equal(await slow.restore.exited, 130, slow.restore.output());
    assert.equal(existsSync(slow.dataDir), false);
  });

  test(
    'that is killed leaves what etcd takes for no member, and the next one clears it away',
    slowly,
    async () => {
      await using slow = await slowRestore('killed');
      await slow.restore.kill();
      const remains = await readdir(slow.dataDir);
      assert.equal(remains.length, 1);
      assert.match(remains.join(), /^member\.partial-/);
      await cli.json(restoredAnswer, ['restore', '--snapshot', file, '--data-dir', slow.dataDir]);
      assert.deepEqual(await readdir(slow.dataDir), ['member']);
    },
  );

  /** A restore that has begun to write, and waits for a slow store. */
  const slowRestore = async (name: string): Promise<SlowRestore> => {
    await using stack = new AsyncDisposableStack();
    const s3 = stack.use(await startS3Server());
    const toxiproxy = stack.use(await startToxiproxy());
    await s3.createBucket('backups');
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod'];
    await cli.json(backupAnswer, [...create, ...s3StoreOptions(s3, `backups/${name}`)]);
    const way = await toxiproxy.createProxy(s3.address);
    await way.addToxic({ type: 'bandwidth', kilobytesPerSecond: 50 });
    const dataDir = folder.join(name);
    const store = s3StoreOptions(s3, `backups/${name}`, `http://${way.address}`);
    const restore = stack.use(await cli.start(['restore', ...store, '--data-dir', dataDir]));
    await eventually(
      'it has begun to write',
      () => (existsSync(dataDir) && readdirSync(dataDir).length > 0) || !restore.isRunning(),
    );
    const servers = stack.move();
    return { restore, dataDir, [Symbol.asyncDispose]: () => servers.disposeAsync() };
  };
});

interface SlowRestore extends AsyncDisposable {
  readonly restore: ServerProcess;
  readonly dataDir: string;
}
