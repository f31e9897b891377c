import assert from 'node:assert/strict';
import { mkdir, readdir, stat, statfs, symlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { refuseExisting, requireRoom } from './existing-dirs.ts';
import type { PlannedDir } from './restore-plan.ts';

const member = { name: 'm1', peerUrls: ['http://a:1'] };

function planned(dataDir: string, walDir?: string): PlannedDir {
  return { member, dataDir, walDir };
}

test('dirs that are not there yet, or are empty, will do', async () => {
  await using folder = await temporaryFolder();
  await mkdir(folder.join('empty'));
  await refuseExisting([
    planned(folder.join('missing')),
    planned(folder.join('deep/er'), folder.join('empty')),
  ]);
});

const REFUSALS = /^restore\.(data|wal)-dir-exists$|^disk\./;

const OCCUPIED: readonly (readonly [string, (folder: TemporaryFolder) => Promise<PlannedDir>])[] = [
  [
    'a data dir with a member in it',
    async (folder) => {
      await mkdir(folder.join('etcd/member'), { recursive: true });
      return planned(folder.join('etcd'));
    },
  ],
  [
    'a log in its own dir',
    async (folder) => {
      await mkdir(folder.join('wal'));
      await writeFile(folder.join('wal/0.wal'), '');
      return planned(folder.join('etcd'), folder.join('wal'));
    },
  ],
  [
    'a hidden file',
    async (folder) => {
      await mkdir(folder.join('etcd'));
      await writeFile(folder.join('etcd/.keep'), '');
      return planned(folder.join('etcd'));
    },
  ],
  [
    'a link to a dir in use',
    async (folder) => {
      await mkdir(folder.join('real/member'), { recursive: true });
      await symlink(folder.join('real'), folder.join('etcd'));
      return planned(folder.join('etcd'));
    },
  ],
  [
    'a file in its place',
    async (folder) => {
      await writeFile(folder.join('etcd'), '');
      return planned(folder.join('etcd'));
    },
  ],
];

for (const [what, make] of OCCUPIED) {
  test(`${what} is refused, and left as it is`, async () => {
    await using folder = await temporaryFolder();
    const dir = await make(folder);
    const before = await readdir(folder.path, { recursive: true });
    await assert.rejects(
      refuseExisting([planned(folder.join('fine')), dir]),
      (error) => error instanceof GuardianError && REFUSALS.test(error.code) && error.hint !== undefined,
    );
    assert.deepEqual(await readdir(folder.path, { recursive: true }), before);
  });
}

test('room is asked of the disk that will hold the dirs, for all of them together', async () => {
  await using folder = await temporaryFolder();
  const { bavail, bsize } = await statfs(folder.path);
  const third = Math.floor((bavail * bsize) / 3);
  const dirs = [1, 2, 3, 4].map((number) => planned(folder.join(`not/there/yet/${number}`)));
  await requireRoom(dirs.slice(0, 1), 1);
  await requireRoom(dirs.slice(0, 1), third);
  await assert.rejects(requireRoom(dirs, third), {
    code: 'restore.no-space',
    message: new RegExp(`the disk of ${folder.path} has \\d+ free`),
    hint: /--data-dir/,
  });
  await assert.rejects(stat(folder.join('not')), { code: 'ENOENT' }, 'nothing is made for a look');
});
