import assert from 'node:assert/strict';
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { type BackupAnswer, backupAnswer, listAnswer, restoredAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions, s3StoreOptions } from '../harness/guardian-store.ts';
import { HOUR_MS } from '../harness/repository.ts';
import { startS3Server } from '../harness/s3.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const UNSOUND = 3;

// docs/format.md, "What can be seen, and what can't": against someone who can write the store but has no key.
describe('someone who can write the store', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;
  let keyFile: string;
  let stores = 0;

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd();
    cli = guardianCli(folder);
    keyFile = await makeKeys('guardian');
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const makeKeys = async (name: string): Promise<string> => {
    const file = folder.join(`${name}.key`);
    const create = ['keys', 'create', '--out', file, '--recovery-out', folder.join(`${name}.pem`)];
    assert.equal((await cli.run(create)).status, 0);
    return file;
  };

  /** A store with backups of its own; newest first. */
  const storeWith = async (many: number): Promise<AttackedStore> => {
    const name = `store-${(stores += 1)}`;
    const options = localStoreOptions(folder, name);
    const backUp = async (cluster = 'prod', key = keyFile, ...more: string[]): Promise<BackupAnswer> => {
      await putOne(etcd, 'counter', name);
      const from = ['--endpoints', etcd.endpoint, '--cluster', cluster];
      return cli.json(backupAnswer, ['backup', 'create', ...from, ...options, '--key-file', key, ...more]);
    };
    const backups: BackupAnswer[] = [];
    for (let number = 0; number < many; number++) backups.unshift(await backUp());
    const path = (...parts: readonly string[]): string => folder.join(name, ...parts);
    return {
      ...{ options: [...options, '--key-file', keyFile], path, backups, backUp },
      chain: ({ cluster, timeline, id }) => path('clusters', cluster, 'timelines', timeline, 'chains', id),
    };
  };

  const listed = async (store: AttackedStore, ...more: string[]): Promise<string[]> => {
    const entries = await cli.json(listAnswer, ['backup', 'list', ...store.options, ...more]);
    return entries.map((entry) =>
      entry.state === 'sound' ? `${entry.id} sound` : `${entry.id} ${entry.problem.code}`,
    );
  };

  let restores = 0;
  const restore = (store: AttackedStore, ...more: string[]): string[] => [
    ...['restore', '--cluster', 'prod', '--data-dir', folder.join(`data-${(restores += 1)}`)],
    ...[...store.options, ...more],
  ];

  /** What a machine that never saw the store takes for the latest. */
  const latestForANewcomer = async (store: AttackedStore): Promise<string> => {
    await using home = await temporaryFolder();
    const { snapshot } = await guardianCli(home).json(restoredAnswer, restore(store));
    return snapshot.currentRevision;
  };

  test('copies an old manifest over a newer one: it is out of its place, and refused', async () => {
    const store = await storeWith(2);
    const [newer, older] = store.backups;
    assert.ok(newer && older);
    await cp(`${store.chain(older)}/manifest.json`, `${store.chain(newer)}/manifest.json`);
    const shown = await listed(store);
    assert.deepEqual(shown.sort(), [`${newer.id} repository.misplaced`, `${older.id} sound`].sort());
    await cli.fails(UNSOUND, 'repository.misplaced', ['backup', 'verify', newer.id, ...store.options]);
    const told = await cli.fails(UNSOUND, 'repository.rolled-back', restore(store));
    assert.match(told, new RegExp(`backup ${newer.id} .* was sound and is not any more`));
    assert.equal(await latestForANewcomer(store), older.revision);
  });

  test('copies a whole backup to another cluster: it is out of its place there, and refused', async () => {
    const store = await storeWith(1);
    const [ours] = store.backups;
    const theirs = await store.backUp('staging');
    assert.ok(ours);
    await cp(store.chain(ours), store.chain({ ...theirs, id: ours.id }), { recursive: true });
    const shown = await listed(store, '--cluster', 'staging');
    assert.deepEqual(shown.sort(), [`${ours.id} repository.misplaced`, `${theirs.id} sound`].sort());
    const verify = ['backup', 'verify', ours.id, '--cluster', 'staging', ...store.options];
    await cli.fails(UNSOUND, 'repository.misplaced', verify);
  });

  test('puts a removed and swept backup back: it stays hidden', async () => {
    const store = await storeWith(2);
    const [newer, older] = store.backups;
    assert.ok(newer && older);
    await cp(store.chain(newer), folder.join('kept'), { recursive: true });
    assert.equal((await cli.run(['backup', 'delete', newer.id, ...store.options])).status, 0);
    const nextDay = { clock: () => new Date(Date.now() + 25 * HOUR_MS) };
    assert.equal((await cli.run(['backup', 'sweep', ...store.options], nextDay)).status, 0);
    await cp(folder.join('kept'), store.chain(newer), { recursive: true });
    assert.deepEqual(await listed(store), [`${older.id} sound`]);
    await cli.fails(1, 'repository.removed', restore(store, '--backup', newer.id));
    assert.equal(await latestForANewcomer(store), older.revision);
  });

  test('takes a removal away: the machine that saw it refuses the store', async () => {
    const store = await storeWith(2);
    const [newer] = store.backups;
    assert.ok(newer);
    assert.equal((await cli.run(['backup', 'delete', newer.id, ...store.options])).status, 0);
    assert.equal((await cli.run(restore(store))).status, 0, 'and has seen it');
    await rm(store.path('clusters', 'prod', 'timelines', newer.timeline, 'removals'), { recursive: true });
    const told = await cli.fails(UNSOUND, 'repository.rolled-back', restore(store));
    assert.match(told, /took marks of its removal away/);
  });

  test('removes the newest backup: the machine that saw it refuses the store, unless told otherwise', async () => {
    const store = await storeWith(2);
    const [newer, older] = store.backups;
    assert.ok(newer && older);
    await rm(store.chain(newer), { recursive: true });
    const told = await cli.fails(UNSOUND, 'repository.rolled-back', restore(store));
    assert.match(told, new RegExp(`backup ${newer.id} \\(revision ${newer.revision}, .*\\) is gone`));
    assert.match(told, /what to do: /);
    const { snapshot } = await cli.json(restoredAnswer, restore(store, '--allow-older'));
    assert.equal(snapshot.currentRevision, older.revision);
    assert.equal((await cli.run(restore(store))).status, 0, 'accepted once, it is what the machine knows');
  });

  test('puts a complete older state back: the machine that saw the newer one refuses it', async () => {
    const store = await storeWith(1);
    await cp(store.path(), folder.join('older-state'), { recursive: true });
    const newer = await store.backUp();
    await rm(store.path(), { recursive: true });
    await cp(folder.join('older-state'), store.path(), { recursive: true });
    const told = await cli.fails(UNSOUND, 'repository.rolled-back', restore(store));
    assert.ok(told.includes(newer.id), told);
    // Who only looks is warned.
    for (const command of [['list'], ['show', 'latest'], ['verify']]) {
      const looked = await cli.run(['backup', ...command, ...store.options]);
      assert.equal(looked.status, 0, looked.stderr);
      assert.match(looked.stderr, /^warning: .* is older than this machine knows it: backup .* is gone/m);
      assert.ok(looked.stderr.includes(newer.id), looked.stderr);
    }
    // So is a list of a store that shows nothing at all any more.
    await rm(store.path('clusters'), { recursive: true });
    const emptied = await cli.run(['backup', 'list', ...store.options]);
    assert.match(emptied.stderr, /^warning: .* is older than this machine knows it/m);
    assert.equal(emptied.status, 0);
  });

  test('has no part in a record of this machine that can’t be read: a list tells, a restore refuses', async () => {
    const store = await storeWith(1);
    const home = await temporaryFolder();
    await mkdir(home.join('state', 'etcdguardian'), { recursive: true });
    await writeFile(home.join('state', 'etcdguardian', 'known-points.json'), '{');
    const cli = guardianCli(home);
    const listed = await cli.run(['backup', 'list', ...store.options]);
    assert.equal(listed.status, 0, listed.stderr);
    assert.match(listed.stderr, /^warning: the record of known backups, .*, can't be used/m);
    await cli.fails(1, 'repository.known-points', restore(store));
    await home[Symbol.asyncDispose]();
  });

  test('of one server leaves another with a bucket of the same name alone', needs('versitygw'), async () => {
    await using one = await startS3Server();
    await using other = await startS3Server();
    for (const s3 of [one, other]) await s3.createBucket('backups');
    for (const s3 of [one, other, one]) {
      const options = [...s3StoreOptions(s3, 'backups/prod'), '--cluster', 'prod', '--key-file', keyFile];
      const create = ['backup', 'create', '--endpoints', etcd.endpoint, ...options];
      const { id } = await cli.json(backupAnswer, create);
      const dataDir = folder.join(`data-${(restores += 1)}`);
      assert.equal((await cli.run(['restore', ...options, '--data-dir', dataDir])).status, 0, id);
    }
  });

  test('adds a backup with keys of their own: it is listed as untrusted, and never the latest', async () => {
    const store = await storeWith(1);
    const [ours] = store.backups;
    assert.ok(ours);
    const forged = await store.backUp('prod', await makeKeys('forger'), '--new-keys');
    const shown = await listed(store);
    assert.deepEqual(shown.sort(), [`${forged.id} signature.untrusted`, `${ours.id} sound`].sort());
    assert.equal(await latestForANewcomer(store), ours.revision);
    await cli.fails(5, 'signature.untrusted', ['backup', 'verify', forged.id, ...store.options]);
  });

  test('deletes data: verify tells, and a restore leaves nothing', async () => {
    const store = await storeWith(1);
    const [backup] = store.backups;
    assert.ok(backup);
    await rm(`${store.chain(backup)}/base.zst.sealed`);
    const verified = await cli.run(['backup', 'verify', ...store.options]);
    assert.equal(verified.status, UNSOUND, verified.stderr);
    assert.match(verified.stdout, /base\.zst\.sealed/);
    const into = restore(store);
    await cli.fails(3, 'repository.missing', into);
    const before = await readdir(folder.path);
    assert.equal(before.includes(`data-${restores}`), false);
  });
});

interface AttackedStore {
  readonly options: readonly string[];
  readonly backups: readonly BackupAnswer[];
  path(...parts: readonly string[]): string;
  chain(place: Pick<BackupAnswer, 'cluster' | 'timeline' | 'id'>): string;
  backUp(cluster?: string, key?: string, ...more: string[]): Promise<BackupAnswer>;
}
