import { readdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { GuardianError } from '../guardian-error.ts';
import { type PlannedDir } from './restore-plan.ts';

/** Rejects with `restore.data-dir-exists` unless every dir is missing or empty: nothing here ever overwrites one. */
export async function refuseExisting(dirs: readonly PlannedDir[]): Promise<void> {
  for (const dir of dirs) {
    for (const folder of [dir.dataDir, dir.walDir]) {
      if (folder === undefined || (await contents(folder)).length === 0) continue;
      throw new GuardianError('restore.data-dir-exists', `${folder} exists and is not empty`, {
        hint: `restore never overwrites a data dir: stop etcd, move it aside (mv ${folder} ${folder}.old) and try again; keep it until the new cluster is proven`,
      });
    }
  }
}

/** Rejects with `restore.no-space` when the disk of `folder`, or where it will be made, has fewer bytes free. */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  const existing = await nearestExisting(folder);
  const { bavail, bsize } = await statfs(existing);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new GuardianError(
    'restore.no-space',
    `the restore needs ${bytes} bytes below ${folder}, and ${existing} has ${free} free`,
    { hint: 'free some space there, or restore to another disk with --data-dir' },
  );
}

async function contents(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new GuardianError('restore.data-dir-exists', `${folder} can't be looked into`, {
      hint: 'it must be a folder that this user may read, or not be there at all',
      cause: error,
    });
  }
}

async function nearestExisting(folder: string): Promise<string> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      await statfs(at);
      return at;
    } catch (error) {
      if (at === path.dirname(at)) throw error;
    }
  }
}
