import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { guardianCli } from '../test/harness/guardian-cli.ts';
import { localStoreOptions } from '../test/harness/guardian-store.ts';
import { backUp, repositorySettings, repositoryWithBackup, testKeys } from '../test/harness/repository.ts';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { LocalStore } from '../lib/storage/local-store.ts';

test('an empty list says whether the store is empty, or holds other clusters', async () => {
  await using folder = await temporaryFolder();
  const cli = guardianCli(folder);
  const list = ['backup', 'list', ...localStoreOptions(folder)];
  assert.match((await cli.run(list)).stdout, /^no backups in \S+$/m);
  assert.match((await cli.run([...list, '--cluster', 'prdo'])).stdout, /^no backups in \S+$/m);
  await repositoryWithBackup(repositorySettings(new LocalStore(folder.join('store'))));
  const { status, stdout } = await cli.run([...list, '--cluster', 'prdo']);
  assert.match(stdout, /^no backups of cluster prdo in \S+; it holds those of: prod$/m);
  assert.equal(status, 0);
});

test('with the wrong keys backups are called not trusted, and what to do is told once', async () => {
  await using folder = await temporaryFolder();
  const { snapshot, backup, repository } = await repositoryWithBackup(
    repositorySettings(new LocalStore(folder.join('store')), testKeys(7)),
  );
  await backUp(repository, snapshot);
  await writeFile(folder.join('other.key'), Buffer.alloc(32, 8), { mode: 0o600 });
  const other = ['--key-file', folder.join('other.key')];
  const list = ['backup', 'list', ...localStoreOptions(folder), ...other];
  const { status, stdout } = await guardianCli(folder).run(list);
  assert.equal(status, 5);
  assert.match(stdout, new RegExp(`^${backup.id} .* NOT TRUSTED$`, 'm'));
  assert.doesNotMatch(stdout, /DAMAGED/);
  assert.equal(stdout.match(/^ {2}what to do: Give the key file/gm)?.length, 1, stdout);
});
