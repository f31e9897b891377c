import type { Buffer } from 'node:buffer';
import { type FileHandle, lstat, open, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type LoggedRequests, readRequests, readWalTail, type WalTail } from '../../etcd/datadir/wal-tail.ts';
import { diskError } from '../../etcd/durable-file.ts';
import type { SnapshotVerdict } from '../../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../../guardian-error.ts';
import { holdDatabase } from './hold-database.ts';
import { type CopyTools, firstSound, readRoots } from './sound-copy.ts';

/** The files of a member that no etcd runs on. */
export interface DeadMember {
  readonly dataDir: string;
  /** Where the log is, if not in the data dir. */
  readonly walDir?: string | undefined;
}

export interface Rescued {
  readonly file: string;
  readonly verdict: SnapshotVerdict;
  /** What is newer, and only in the log; undefined where the log couldn't be read. */
  readonly behind: WalTail | undefined;
  /** What the entries behind ask of the store; undefined where nobody wanted them, or the log couldn't be read. */
  readonly requests: readonly (Buffer | undefined)[] | undefined;
  /** What a person has to know of it. */
  readonly warnings: readonly string[];
}

/**
 * Makes a snapshot file, as any etcdutl restores it, from the data dir of a member that is dead, which is only read. Of
 * bbolt's two roots the newest valid one counts; where what it leads to is damaged, the one before it, whose pages are
 * not reused yet, is tried. The file appears when it has been read back and found sound; nothing is overwritten.
 *
 * What etcd had in its log and not yet in the database is not in the file: `behind` tells how much that is. Rejects with
 * `rescue.no-database`, `rescue.in-use`, `rescue.exists`, `rescue.no-room`, `DamagedDatabaseError`, those of
 * `openBoltFile` where nothing at all can be made of it, and the disk's errors.
 */
export async function rescueSnapshot(
  member: DeadMember,
  out: string,
  tools: CopyTools,
  { wantRequests = false } = {},
): Promise<Rescued> {
  const path = databaseOf(member);
  await requireNew(out);
  const file = await openDatabase(path);
  try {
    await using held = await holdDatabase(path);
    const roots = await readRoots(path, file);
    const [newest] = roots;
    if (newest !== undefined) await requireRoom(out, newest.pageCount * newest.pageSize);
    const warnings = held.locked
      ? []
      : [
          'the database could not be locked (no flock here): make sure that nothing starts etcd while it is read',
        ];
    const { verdict, root } = await firstSound(path, file, roots, out, tools);
    if (root > 0) {
      warnings.push(
        'the newest root of the database leads to damaged pages: this is the state of the transaction before it, which was a moment earlier',
      );
    }
    const log = await logOf(member, verdict, wantRequests, warnings);
    return { file: out, verdict, behind: log?.tail, requests: log?.requests, warnings };
  } finally {
    await file.close();
  }
}

export function databaseOf({ dataDir }: DeadMember): string {
  return join(resolve(dataDir), 'member', 'snap', 'db');
}

export function walOf({ dataDir, walDir }: DeadMember): string {
  return walDir === undefined || walDir === '' ? join(resolve(dataDir), 'member', 'wal') : resolve(walDir);
}

export async function requireNew(out: string): Promise<void> {
  const there = await lstat(out).then(
    () => true,
    () => false,
  );
  if (!there) return;
  throw new GuardianError('rescue.exists', `${out} is there already`, {
    hint: 'Nothing is overwritten: name another file.',
  });
}

async function openDatabase(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      throw diskError(error, `opening ${path}`);
    throw new GuardianError('rescue.no-database', `there is no ${path}`, {
      hint: 'Name the folder that etcd\'s --data-dir names (that has "member" in it); etcd\'s manifest or unit tells it.',
      cause: error,
    });
  }
}

/** Rejects with `rescue.no-room` where the disk of `out` hasn't so many bytes left. */
export async function requireRoom(out: string, needed: number): Promise<void> {
  const folder = dirname(resolve(out));
  const { bavail, bsize } = await statfs(folder).catch((error: unknown) => {
    throw diskError(error, `writing into ${folder}`);
  });
  if (bavail * bsize > needed) return;
  throw new GuardianError(
    'rescue.no-room',
    `the snapshot needs ${needed} bytes, and the disk of ${folder} has ${bavail * bsize} free`,
    { hint: 'Write it to another disk, also one over the network: --out FILE.' },
  );
}

async function logOf(
  member: DeadMember,
  // Without one nothing of the log is in it.
  { consistentIndex = 0n }: SnapshotVerdict,
  wantRequests: boolean,
  warnings: string[],
): Promise<(Pick<LoggedRequests, 'tail'> & Partial<LoggedRequests>) | undefined> {
  const wal = walOf(member);
  const there = await stat(wal).then(
    () => true,
    () => false,
  );
  if (!there) {
    warnings.push(
      `whether the log has anything newer is not known: there is no ${wal}; a log elsewhere is named with --wal-dir`,
    );
    return undefined;
  }
  try {
    if (wantRequests) return await readRequests(wal, consistentIndex);
    return { tail: await readWalTail(wal, consistentIndex) };
  } catch (error) {
    if (!(error instanceof GuardianError)) throw error;
    warnings.push(`whether the log has anything newer is not known: ${error.message}`);
    return undefined;
  }
}
