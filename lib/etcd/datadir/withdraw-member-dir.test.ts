import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { WAL_FILE_NAME } from './wal.ts';
import { withdrawMemberDir } from './withdraw-member-dir.ts';

test('a data dir that was made goes, with its log and the folders it leaves empty', async () => {
  await using folder = await temporaryFolder();
  await mkdir(folder.join('data', 'member', 'snap'), { recursive: true });
  await mkdir(folder.join('wal'));
  await writeFile(folder.join('wal', WAL_FILE_NAME), 'log');
  await withdrawMemberDir(folder.join('data'), folder.join('wal'));
  assert.deepEqual(await readdir(folder.path), []);
});

test('what else lies beside it stays', async () => {
  await using folder = await temporaryFolder();
  await mkdir(folder.join('data', 'member'), { recursive: true });
  await mkdir(folder.join('wal', 'lost+found'), { recursive: true });
  await writeFile(folder.join('wal', WAL_FILE_NAME), 'log');
  await writeFile(folder.join('data', 'notes'), 'mine');
  await withdrawMemberDir(folder.join('data'), folder.join('wal'));
  assert.deepEqual(await readdir(folder.join('wal')), ['lost+found']);
  assert.deepEqual(await readdir(folder.join('data')), ['notes']);
});

test('a data dir that is not there is told', async () => {
  await using folder = await temporaryFolder();
  await assert.rejects(withdrawMemberDir(folder.join('data'), undefined), { code: 'disk.not-found' });
});
