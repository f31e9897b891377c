import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { z } from 'zod';
import { LocalStore } from '../lib/storage/local-store.ts';
import { guardianCli } from '../test/harness/guardian-cli.ts';
import { localStoreOptions } from '../test/harness/guardian-store.ts';
import { repositorySettings, repositoryWithBackup } from '../test/harness/repository.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';

const TWO = ['--initial-cluster', 'm1=http://127.0.0.1:1,m2=http://127.0.0.1:2'];

const answer = z.object({
  restores: z.array(
    z.object({
      number: z.int(),
      backup: z.string(),
      by: z.string(),
      token: z.string(),
      firstRevision: z.string().nullable(),
      members: z.array(z.object({ name: z.string(), made: z.boolean() })),
    }),
  ),
  problems: z.array(z.object({ code: z.string() })),
});

test('restores are listed newest first, with the members that were made', async () => {
  await using folder = await temporaryFolder();
  const { backup } = await repositoryWithBackup(repositorySettings(new LocalStore(folder.join('store'))));
  const cli = guardianCli(folder);
  const store = localStoreOptions(folder);
  const list = ['restores', 'list', ...store];
  assert.match((await cli.run(list)).stdout, /^no restores of cluster prod are recorded in file:/);

  const restore = ['restore', ...store, ...TWO, '--name', 'm1'];
  for (const dir of ['one', 'two']) {
    assert.equal((await cli.run([...restore, '--data-dir', folder.join(dir)])).status, 0);
  }

  const { restores, problems } = await cli.json(answer, list);
  assert.deepEqual(
    restores.map(({ number }) => number),
    [2, 1],
  );
  assert.deepEqual(problems, []);
  const [newest, oldest] = restores;
  assert.equal(newest?.backup, backup.id);
  assert.ok(BigInt(newest.firstRevision ?? 0) > BigInt(oldest?.firstRevision ?? 0));
  assert.deepEqual(newest.members, [
    { name: 'm1', made: true },
    { name: 'm2', made: false },
  ]);
  const told = await cli.run(list);
  assert.match(told.stdout, /^NUMBER .*\n2 +\S+Z +0m +\S+ .* 1 of 2: m1; not m2\n1 /);

  const [record = ''] = globSync('store/clusters/prod/restores/000001/restore.json', { cwd: folder.path });
  const text = await readFile(folder.join(record), 'utf8');
  await writeFile(folder.join(record), text.slice(1));
  const damaged = await cli.run(list);
  assert.match(damaged.stderr, /^warning: .*restores\/000001.* \[repository\.damaged\]\n$/);
  assert.deepEqual([damaged.status, damaged.stdout.match(/^\d/gm)], [0, ['2']]);
});
