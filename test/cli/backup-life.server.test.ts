import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import {
  type BackupAnswer,
  backupAnswer,
  listAnswer,
  sweptAnswer,
  verifiedAnswer,
} from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { HOUR_MS } from '../harness/repository.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

describe('backups of one cluster', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;
  let store: string[];

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd();
    cli = guardianCli(folder);
    const keyFile = folder.join('guardian.key');
    const keys = ['keys', 'create', '--out', keyFile, '--recovery-out', folder.join('recovery.pem')];
    assert.equal((await cli.run(keys)).status, 0);
    store = ['--key-file', keyFile];
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const inStore = (name: string): string[] => [...store, ...localStoreOptions(folder, name)];

  /** So many backups, each of a newer revision, newest first. */
  const make = async (name: string, many: number): Promise<BackupAnswer[]> => {
    const made: BackupAnswer[] = [];
    const create = ['backup', 'create', '--endpoints', etcd.endpoint, '--cluster', 'prod', ...inStore(name)];
    for (let number = 0; number < many; number++) {
      await putOne(etcd, 'a', `value ${number}`);
      made.unshift(await cli.json(backupAnswer, create));
    }
    return made;
  };

  const idsIn = async (name: string, ...more: string[]): Promise<string[]> => {
    const list = await cli.json(listAnswer, ['backup', 'list', ...inStore(name), ...more]);
    return list.map(({ id }) => id);
  };

  test('are listed newest first, the same in table, JSON and YAML', async () => {
    const made = await make('listed', 3);
    const list = ['backup', 'list', ...inStore('listed')];
    const json = await cli.json(listAnswer, list);
    assert.deepEqual(
      json.map(({ id }) => id),
      made.map(({ id }) => id),
    );
    assert.deepEqual(
      json.map((entry) => entry.state),
      ['sound', 'sound', 'sound'],
    );
    const yaml = await cli.run([...list, '--output', 'yaml']);
    assert.deepEqual(listAnswer.parse(parse(yaml.stdout)), json);
    const table = await cli.run(list);
    assert.deepEqual(
      table.stdout.match(/^\d{8}T\d{6}Z-[0-9a-f]+/gm),
      made.map(({ id }) => id),
    );
    assert.equal(table.stdout.match(/encrypted, proven$/gm)?.length, 3);
  });

  test('are shown by id, by the beginning of one, or as latest, with all that the manifest says', async () => {
    const [newest, older] = await make('shown', 2);
    const show = async (which: string): Promise<BackupAnswer> =>
      cli.json(backupAnswer, ['backup', 'show', which, ...inStore('shown')]);
    assert.equal((await show('latest')).id, newest?.id);
    const id = older?.id ?? '';
    assert.equal((await show(id.slice(0, -1))).id, id);
    const { etcd: source, recipients, encrypted } = await show(id);
    assert.equal(source.endpoint, etcd.endpoint);
    assert.deepEqual(
      [encrypted, recipients.map(({ kind }) => kind).sort()],
      [true, ['aes-256', 'recovery-rsa']],
    );
    await cli.fails(4, 'repository.not-found', ['backup', 'show', '1999', ...inStore('shown')]);
    await cli.fails(1, 'repository.ambiguous', ['backup', 'show', '20', ...inStore('shown')]);
  });

  test('are verified as stored, and in depth down to the last revision', async () => {
    const [backup] = await make('verified', 1);
    const verify = ['backup', 'verify', ...inStore('verified')];
    const stored = await cli.json(verifiedAnswer, verify);
    assert.deepEqual(
      [stored.id, stored.sound, stored.depth, stored.plainBytes],
      [backup?.id, true, 'stored', 0],
    );
    const deep = await cli.json(verifiedAnswer, [...verify, backup?.id ?? '', '--deep']);
    assert.deepEqual([deep.sound, deep.depth, deep.problems], [true, 'deep', []]);
    assert.equal(deep.plainBytes, (backup?.totalSize ?? 0) + 32, 'with the trailer');
    const told = await cli.run([...verify, '--deep']);
    assert.match(told.stdout, /^backup \S+ is sound: .* checked to the last revision\n$/);
  });

  test('are deleted by id only, come back within a day, and the last good one is kept', async () => {
    const [newest, older] = await make('deleted', 2);
    const [last, other] = [newest?.id ?? '', older?.id ?? ''];
    const command = (...words: string[]): string[] => ['backup', ...words, ...inStore('deleted')];

    await cli.fails(4, 'repository.not-found', command('delete', 'latest'));
    assert.equal((await cli.run(command('delete', other, '--reason', 'a test'))).status, 0);
    assert.deepEqual(await idsIn('deleted'), [last]);
    assert.deepEqual(await idsIn('deleted', '--all'), [last, other]);
    const told = await cli.fails(1, 'repository.removed', command('verify', other));
    assert.match(told, /what to do: .*undelete/);

    const refusal = await cli.fails(1, 'backup.last-good', command('delete', last));
    assert.match(refusal, /--even-the-last/);
    assert.equal((await cli.run(command('undelete', other))).status, 0);
    assert.deepEqual(await idsIn('deleted'), [last, other]);
    assert.equal((await cli.run(command('delete', last))).status, 0);
    assert.equal((await cli.run(command('delete', other, '--even-the-last'))).status, 0);
    assert.deepEqual(await idsIn('deleted'), []);
  });

  test('are pruned by count and age as announced, and swept a day later', async () => {
    const made = await make('pruned', 3);
    const [newest, ...others] = made.map(({ id }) => id);
    const prune = ['backup', 'prune', '--max-backups', '1', ...inStore('pruned')];
    const plan = z.object({
      keep: z.array(z.object({ id: z.string() })),
      remove: z.array(z.object({ id: z.string() })),
    });

    const announced = await cli.json(plan, [...prune, '--dry-run']);
    assert.equal((await idsIn('pruned')).length, 3);
    assert.deepEqual(await cli.json(plan, prune), announced);
    assert.deepEqual(
      announced.remove.map(({ id }) => id),
      others,
    );
    assert.deepEqual(await idsIn('pruned'), [newest]);

    const sweep = ['backup', 'sweep', ...inStore('pruned')];
    assert.deepEqual((await cli.json(sweptAnswer, sweep)).deleted, []);
    const nextDay = { clock: () => new Date(Date.now() + 25 * HOUR_MS) };
    const swept = await cli.json(sweptAnswer, sweep, nextDay);
    assert.equal(swept.deleted.length, 4, 'two bases and two manifests');
    assert.deepEqual([swept.refused, swept.unknown], [[], []]);
    assert.deepEqual(await idsIn('pruned', '--all'), [newest]);
    const old = ['backup', 'prune', '--max-age', '1h', ...inStore('pruned')];
    assert.deepEqual(
      (await cli.json(plan, old, nextDay)).remove,
      [],
      'the newest good one stays, however old',
    );
  });
});
