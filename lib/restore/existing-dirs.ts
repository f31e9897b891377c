import { readdir, stat, statfs } from 'node:fs/promises';
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

/** Rejects with `restore.no-space` unless the disks have room for a database of so many bytes in each dir. */
export async function requireRoom(dirs: readonly PlannedDir[], databaseBytes: number): Promise<void> {
  const needed = new Map<number, { readonly folder: string; readonly bytes: number }>();
  for (const { dataDir } of dirs) {
    const folder = await nearestExisting(dataDir);
    const { dev } = await stat(folder);
    const bytes = (needed.get(dev)?.bytes ?? 0) + databaseBytes + ROOM_BESIDE_DATABASE;
    needed.set(dev, { folder, bytes });
  }
  for (const { folder, bytes } of needed.values()) {
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize >= bytes) continue;
    throw new GuardianError(
      'restore.no-space',
      `the restore needs ${bytes} bytes, and the disk of ${folder} has ${bavail * bsize} free`,
      { hint: 'free some space there, or restore to another disk with --data-dir' },
    );
  }
}

/** The log is made 64 MB long, and etcd wants to write before it cleans up. */
const ROOM_BESIDE_DATABASE = 256 * 1024 * 1024;

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
      await stat(at);
      return at;
    } catch (error) {
      if (at === path.dirname(at)) throw error;
    }
  }
}
