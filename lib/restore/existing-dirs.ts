import { stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { checkMemberDir } from '../etcd/datadir/staged-member-dir.ts';
import { WAL_FILE_SIZE } from '../etcd/datadir/wal.ts';
import { GuardianError } from '../guardian-error.ts';
import type { PlannedDir } from './restore-plan.ts';

/**
 * Rejects with `restore.data-dir-exists` or `restore.wal-dir-exists` unless every dir is missing, or empty but for what
 * a restore that crashed left behind: nothing here ever overwrites one.
 */
export async function refuseExisting(dirs: readonly PlannedDir[]): Promise<void> {
  for (const { dataDir, walDir } of dirs) await checkMemberDir(dataDir, walDir);
}

/**
 * Rejects with `restore.no-space` unless the disks have room for a database of so many bytes in each data dir, and for
 * the log in each WAL dir, which may be on another disk.
 */
export async function requireRoom(dirs: readonly PlannedDir[], databaseBytes: number): Promise<void> {
  const needs = new Map<number, DiskNeed>();
  for (const { dataDir, walDir } of dirs) {
    await addNeed(needs, dataDir, databaseBytes + ROOM_TO_GROW, '--data-dir');
    await addNeed(needs, walDir ?? dataDir, LOG_BYTES, walDir === undefined ? '--data-dir' : '--wal-dir');
  }
  for (const { folder, bytes, options } of needs.values()) {
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize >= bytes) continue;
    throw new GuardianError(
      'restore.no-space',
      `the restore needs ${bytes} bytes, and the disk of ${folder} has ${bavail * bsize} free`,
      { hint: `free some space there, or restore to another disk with ${[...options].join(' and ')}` },
    );
  }
}

interface DiskNeed {
  readonly folder: string;
  bytes: number;
  /** Which of them lead there. */
  readonly options: Set<string>;
}

/** etcd wants to write before it cleans up. */
const ROOM_TO_GROW = 128 * 1024 * 1024;
/** The restore writes little more than the length of it; etcd fills it up and makes the next one as soon as it starts. */
const LOG_BYTES = 2 * WAL_FILE_SIZE;

async function addNeed(
  needs: Map<number, DiskNeed>,
  dir: string,
  bytes: number,
  option: string,
): Promise<void> {
  const folder = await nearestExisting(dir);
  const { dev } = await stat(folder);
  const need = needs.get(dev) ?? { folder, bytes: 0, options: new Set() };
  need.bytes += bytes;
  need.options.add(option);
  needs.set(dev, need);
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
