import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { makeFolders } from './make-folders.ts';

test('what is missing is made, and told topmost first', async () => {
  await using folder = await temporaryFolder();
  assert.deepEqual(await makeFolders(folder.join('a/b/c'), 0o700), [
    folder.join('a'),
    folder.join('a/b'),
    folder.join('a/b/c'),
  ]);
  assert.equal(statSync(folder.join('a/b')).mode & 0o777, 0o700);
  assert.deepEqual(await makeFolders(folder.join('a/b/d'), 0o700), [folder.join('a/b/d')]);
  assert.deepEqual(await makeFolders(folder.join('a/b'), 0o700), []);
});

test('several at once make it together', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('a/b/c');
  const made = await Promise.all([1, 2, 3, 4].map(() => makeFolders(path, 0o700)));
  assert.equal(made.flat().length, 3);
});

test('a file or a dangling link in the way is refused', async () => {
  await using folder = await temporaryFolder();
  await writeFile(folder.join('file'), '');
  await assert.rejects(makeFolders(folder.join('file'), 0o700), { code: 'EEXIST' });
  await assert.rejects(makeFolders(folder.join('file/below'), 0o700), { code: 'EEXIST' });
  await symlink(folder.join('nowhere'), folder.join('link'));
  await assert.rejects(makeFolders(folder.join('link/below'), 0o700), { code: 'EEXIST' });
});

test(
  'a place where nothing can be made ends with an error',
  { skip: !existsSync('/proc/self') },
  async () => {
    await assert.rejects(makeFolders('/proc/etcdguardian/state', 0o700), { code: 'ENOENT' });
  },
);
