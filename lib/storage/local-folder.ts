import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GuardianError } from '../guardian-error.ts';
import { makeFolders as makeMissing } from '../make-folders.ts';
import { errnoOf } from './local-errors.ts';
import { isObjectName } from './object-name.ts';

const FOLDER_MODE = 0o700;

/** Makes `root` where it is missing, durably, and resolves to it without symbolic links. */
export async function makeRoot(root: string): Promise<string> {
  try {
    const [firstMade] = await makeMissing(root, FOLDER_MODE);
    if (firstMade !== undefined) await syncFolders(root, dirname(firstMade));
  } catch (error) {
    throw inPlaceOfFolder(error, root);
  }
  return realpath(root);
}

/** Makes the folders of `path` (relative) below `root`, itself resolved, where they are missing; follows no links. */
export async function makeFolders(root: string, path: string): Promise<string> {
  let folder = root;
  for (const segment of path.split('/')) {
    folder = join(folder, segment);
    try {
      await mkdir(folder, FOLDER_MODE);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw inPlaceOfFolder(error, folder);
      const found = await lstat(folder);
      if (found.isSymbolicLink()) throw linkBelow(root, folder);
      if (!found.isDirectory()) throw inPlaceOfFolder(error, folder);
    }
  }
  return folder;
}

/** Rejects with `store.denied` when a symbolic link lies between `root` (itself resolved) and `folder`. */
export async function refuseLinks(root: string, folder: string): Promise<void> {
  if (folder === root || (await realpath(folder)) === folder) return;
  throw linkBelow(root, folder);
}

/** Flushes the entries of `folder` and of each folder above it, up to `root`. */
export async function syncFolders(folder: string, root: string): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    const handle = await open(at, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } catch (error) {
      // Some FUSE and SMB mounts can't flush a folder and say so; there is nothing more to do about it.
      if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'ENOTSUP') throw error;
    } finally {
      await handle.close();
    }
    if (at === root || at === dirname(at)) return;
  }
}

/** Removes `folder` and those above it, below `root`, as far as they are empty. */
export async function pruneEmptyFolders(folder: string, root: string): Promise<void> {
  for (let at = folder; at !== root && at.startsWith(root); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return;
    }
  }
}

/** A regular file of the store. */
export interface FoundFile {
  readonly name: string;
  readonly size: number;
  readonly modifiedNs: bigint;
  readonly inode: bigint;
}

/**
 * The files below `root` whose names start with `prefix` and sort after `after`, in bytewise order of names. Holds the
 * entries of one folder per level at a time.
 */
export async function* walkFiles(
  root: string,
  prefix: string,
  after: string,
): AsyncGenerator<FoundFile, void> {
  const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  const folder = join(root, start);
  try {
    await refuseLinks(root, start === '' ? root : folder.slice(0, -1));
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  yield* walkFolder(root, start, prefix, after);
}

async function* walkFolder(
  root: string,
  folder: string,
  prefix: string,
  after: string,
): AsyncGenerator<FoundFile, void> {
  for (const entry of await sortedEntries(root, folder)) {
    if (!entry.startsWith(prefix) && !prefix.startsWith(entry)) continue;
    if (entry.endsWith('/')) {
      if (entry > after || after.startsWith(entry)) yield* walkFolder(root, entry, prefix, after);
    } else if (entry > after && entry.startsWith(prefix)) {
      const file = await fileAt(root, entry);
      if (file !== undefined) yield file;
    }
  }
}

/** Names below `root`; a folder's ends with `/`, which is also how it sorts: `a-b` < `a/x` < `a0`. */
async function sortedEntries(root: string, folder: string): Promise<string[]> {
  try {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .map((entry) => ({ name: folder + entry.name, isFolder: entry.isDirectory() }))
      .filter(({ name }) => isObjectName(name))
      .map(({ name, isFolder }) => (isFolder ? `${name}/` : name))
      .sort(bytewise);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function fileAt(root: string, name: string): Promise<FoundFile | undefined> {
  try {
    const { size, mtimeNs, ino } = await lstat(join(root, name), { bigint: true });
    return { name, size: Number(size), modifiedNs: mtimeNs, inode: ino };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Names are ASCII, so UTF-16 code units sort as bytes do. */
function bytewise(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Removed since it was seen, or never there. */
function isGone(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}

function linkBelow(root: string, folder: string): GuardianError {
  return new GuardianError('store.denied', `${folder} leads through a symbolic link below ${root}`, {
    hint: 'Replace the link by a real folder; a store never follows links out of its root.',
  });
}

/** The error of making a folder where there is a file. */
function inPlaceOfFolder(cause: unknown, folder: string): unknown {
  if (errnoOf(cause) !== 'EEXIST' && errnoOf(cause) !== 'ENOTDIR') return cause;
  return new GuardianError('store.name', `${folder} can't be a folder: there is a file in its place`, {
    cause,
    hint: "Name another folder, or move the file away; an object's name can't be the folder of another.",
  });
}
