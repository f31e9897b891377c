import { stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { checkMemberDir } from '../etcd/datadir/staged-member-dir.ts';
import { GuardianError } from '../guardian-error.ts';
import { type PlannedDir } from './restore-plan.ts';

/**
 * Rejects with `restore.data-dir-exists` or `restore.wal-dir-exists` unless every dir is missing, or empty but for what
 * a restore that crashed left behind: nothing here ever overwrites one.
 */
export async function refuseExisting(dirs: readonly PlannedDir[]): Promise<void> {
  for (const { dataDir, walDir } of dirs) await checkMemberDir(dataDir, walDir);
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
