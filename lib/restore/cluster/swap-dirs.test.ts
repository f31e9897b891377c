import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { removeRestoreDirs, restoreDirs, type RestoreDirs, swapBack, swapIn } from './swap-dirs.ts';

/** What an interrupted swap may have left, each one step of it further. */
const INTERRUPTED: readonly (readonly [
  moment: string,
  leave: (dirs: RestoreDirs, wal: string) => Promise<void>,
])[] = [
  ['before anything', () => Promise.resolve()],
  [
    'the old member is aside',
    async ({ dataDir, previous }) => {
      await mkdir(previous, { recursive: true });
      await rename(join(dataDir, 'member'), join(previous, 'member'));
    },
  ],
  [
    'and some of the old log',
    async (dirs, wal) => {
      await INTERRUPTED[1]?.[1](dirs, wal);
      const leaving = join(dirs.stagedWal ?? '', '..', 'leaving');
      await mkdir(leaving);
      await rename(join(wal, '0.wal'), join(leaving, '0.wal'));
    },
  ],
  [
    'and some of the new log is in',
    async (dirs, wal) => {
      await INTERRUPTED[1]?.[1](dirs, wal);
      const own = join(dirs.stagedWal ?? '', '..');
      await mkdir(join(own, 'previous'));
      for (const name of ['0.wal', '1.wal']) await rename(join(wal, name), join(own, 'previous', name));
      await rename(join(own, 'staged', '0.wal'), join(wal, '0.wal'));
    },
  ],
  ['everything was done', (dirs) => swapIn(dirs)],
];

for (const [moment, leave] of INTERRUPTED) {
  test(`a swap that ended when ${moment} is finished, or taken back, whole`, async () => {
    for (const way of ['in', 'back'] as const) {
      await using folder = await temporaryFolder();
      const [data, wal] = [folder.join('data'), folder.join('wal')];
      const dirs = restoreDirs(data, wal, 'op');
      await fill(join(data, 'member'), { db: 'old' });
      await fill(wal, { '0.wal': 'old 0', '1.wal': 'old 1' });
      await fill(join(dirs.staged, 'member'), { db: 'new' });
      await fill(dirs.stagedWal ?? '', { '0.wal': 'new 0' });
      await leave(dirs, wal);
      // Twice: the second finds nothing to do.
      for (let time = 0; time < 2; time++) await (way === 'in' ? swapIn(dirs) : swapBack(dirs));
      const wanted =
        way === 'in'
          ? [{ db: 'new' }, { '0.wal': 'new 0' }]
          : [{ db: 'old' }, { '0.wal': 'old 0', '1.wal': 'old 1' }];
      assert.deepEqual([await contents(join(data, 'member')), await contents(wal)], wanted);
      if (way === 'in') continue;
      await removeRestoreDirs(dirs);
      assert.deepEqual(await readdir(data), ['member']);
    }
  });
}

test('a log that lies with the data is moved with it', () => {
  assert.equal(restoreDirs('/d', '/d/member/wal', 'op').walDir, undefined);
  assert.equal(restoreDirs('/d', '/d/wal', 'op').walDir, '/d/wal');
  assert.throws(() => restoreDirs('/d', '/d/member/other', 'op'), { code: 'restore.wal-dir' });
  assert.throws(() => restoreDirs('/d/e', '/d', 'op'), { code: 'restore.wal-dir' });
});

async function fill(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}

async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return Object.fromEntries(names.map((name, at) => [name, texts[at] ?? '']));
}
