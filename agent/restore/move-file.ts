import { copyFile, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { diskError, syncFolder } from '../../lib/etcd/durable-file.ts';
import { makeFolders } from '../../lib/make-folders.ts';

/**
 * Moves a file so that it is at the one place or the other after a power failure, also to another filesystem; its owner
 * and mode may become ours there. What an attempt before has moved is left. Rejects with the disk's error.
 */
export async function moveFile(from: string, to: string): Promise<void> {
  try {
    if (!(await isThere(from))) {
      if (await isThere(to)) return;
      await stat(from);
    }
    await makeFolders(dirname(to), 0o700);
    try {
      await rename(from, to);
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EXDEV') throw error;
      await moveByCopy(from, to);
    }
    await syncFolder(dirname(to));
    await syncFolder(dirname(from));
  } catch (error) {
    throw diskError(error, `moving ${from} to ${to}`);
  }
}

/** Under a name with a dot first, which no kubelet reads, until it is whole. */
async function moveByCopy(from: string, to: string): Promise<void> {
  const part = join(dirname(to), `.${basename(to)}.part`);
  await copyFile(from, part);
  const file = await open(part, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, to);
  await syncFolder(dirname(to));
  await rm(from);
}

export async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
