import { constants } from 'node:fs';
import { chmod, chown, copyFile, lstat, open, readlink, symlink, utimes } from 'node:fs/promises';
import { posix } from 'node:path';
import { diskError, syncFolder } from '../../etcd/durable-file.ts';
import { makeFolders } from '../../make-folders.ts';
import { wayTo } from './look-at-target.ts';
import type { Placement } from './placing.ts';

/** Copies what is going to be replaced into a new folder, by its paths, durable once this resolves. */
export async function keepAside(folder: string, root: string, replaced: readonly Placement[]): Promise<void> {
  try {
    await wayTo(root, `/${posix.relative(root, folder)}`);
    await makeFolders(folder, 0o700);
    const folders = new Set([folder]);
    for (const { path, target } of replaced) {
      const kept = posix.join(folder, path);
      for (const made of await makeFolders(posix.dirname(kept), 0o700)) folders.add(made);
      folders.add(posix.dirname(kept));
      await copy(target, kept);
    }
    for (const made of folders) await syncFolder(made);
  } catch (error) {
    throw diskError(error, `keeping aside in ${folder} what is going to be replaced`);
  }
}

async function copy(from: string, to: string): Promise<void> {
  const there = await lstat(from);
  if (there.isSymbolicLink()) {
    await symlink(await readlink(from), to);
    return;
  }
  await copyFile(from, to, constants.COPYFILE_EXCL);
  if (process.geteuid?.() === 0) await chown(to, there.uid, there.gid);
  await chmod(to, there.mode & 0o7777);
  await utimes(to, there.atime, there.mtime);
  await using handle = await open(to, 'r');
  await handle.sync();
}
