import { chown, mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { diskError, syncFolder } from '../../etcd/durable-file.ts';
import { GuardianError } from '../../guardian-error.ts';
import { makeFolders } from '../../make-folders.ts';

/** Where a restore keeps what it makes and what it puts aside: within the data dir, hence on its filesystem. */
export interface RestoreDirs {
  readonly dataDir: string;
  /** Undefined where the log lies in the data dir. */
  readonly walDir: string | undefined;
  /** A data dir in itself, with `member` in it. */
  readonly staged: string;
  readonly stagedWal: string | undefined;
  /** Where the old data is kept; holds `member`. */
  readonly previous: string;
  /** Everything of this restore, for removal. */
  readonly all: readonly string[];
}

const OURS = '.etcdguardian';
const LEFT_ALONE: ReadonlySet<string> = new Set([OURS, 'lost+found']);

/** Throws `restore.wal-dir` for a log that would be moved together with the data. */
export function restoreDirs(dataDir: string, walDir: string, operation: string): RestoreDirs {
  const data = resolve(dataDir);
  const member = join(data, 'member');
  const wal = walDir === '' || resolve(walDir) === join(member, 'wal') ? undefined : resolve(walDir);
  if (wal !== undefined && (`${wal}/`.startsWith(`${member}/`) || `${data}/`.startsWith(`${wal}/`))) {
    throw new GuardianError('restore.wal-dir', `the WAL dir ${wal} and ${member} lie in each other`, {
      hint: 'Restore by hand: etcdguardian restore --data-dir … --wal-dir …',
    });
  }
  const own = join(data, OURS, operation);
  const ownWal = wal === undefined ? undefined : join(wal, OURS, operation);
  return {
    dataDir: data,
    walDir: wal,
    staged: join(own, 'staged'),
    stagedWal: ownWal === undefined ? undefined : join(ownWal, 'staged'),
    previous: join(own, 'previous'),
    all: ownWal === undefined ? [own] : [own, ownWal],
  };
}

/**
 * Puts the old data aside and the staged in its place; etcd must not run. What is where tells how far an attempt before
 * came, so that it may be repeated after a crash at any point. Rejects with `restore.not-staged` and the disk's errors.
 */
export async function swapIn(dirs: RestoreDirs): Promise<void> {
  const [member, staged, old] = memberPaths(dirs);
  try {
    if (!(await isThere(old))) {
      if (!(await isThere(staged))) throw notStaged(staged);
      await makeFolders(dirs.previous, 0o700);
      if (await isThere(member)) await move(member, old);
      // A node whose data is gone altogether.
      else await mkdir(old, { mode: 0o700 });
    }
    if (dirs.walDir !== undefined) await swapWalIn(dirs.walDir, walFolders(dirs));
    if (await isThere(staged)) await move(staged, member);
    else if (!(await isThere(member))) throw notStaged(staged);
  } catch (error) {
    throw diskError(error, `putting restored data into ${dirs.dataDir}`);
  }
}

/** Puts the old data back, whatever an attempt at `swapIn` or at this had done; etcd must not run. */
export async function swapBack(dirs: RestoreDirs): Promise<void> {
  const [member, , old] = memberPaths(dirs);
  const discarded = join(dirs.previous, '..', 'discarded');
  try {
    if (dirs.walDir !== undefined) await swapWalBack(dirs.walDir, walFolders(dirs));
    if (!(await isThere(old))) return;
    if (await isThere(member)) {
      await rm(discarded, { recursive: true, force: true });
      await move(member, discarded);
    }
    await move(old, member);
  } catch (error) {
    throw diskError(error, `putting the old data back into ${dirs.dataDir}`);
  }
}

/** Removes what a restore made or put aside. */
export async function removeRestoreDirs({ all }: RestoreDirs): Promise<void> {
  for (const folder of all) {
    try {
      await rm(folder, { recursive: true, force: true });
      await rmdir(join(folder, '..')).catch(() => undefined);
    } catch (error) {
      throw diskError(error, `removing ${folder}`);
    }
  }
}

/** Gives what was staged to whom the present data belongs. */
export async function adoptOwner({ dataDir, staged, stagedWal }: RestoreDirs): Promise<void> {
  const present = await stat(join(dataDir, 'member')).catch(() => stat(dataDir));
  const { uid, gid } = present;
  for (const root of [staged, stagedWal]) {
    if (root === undefined) continue;
    for (const name of ['', ...(await readdir(root, { recursive: true }))]) {
      const path = join(root, name);
      const now = await stat(path);
      if (now.uid !== uid || now.gid !== gid) await chown(path, uid, gid);
    }
  }
}

function memberPaths({
  dataDir,
  staged,
  previous,
}: RestoreDirs): [member: string, staged: string, old: string] {
  return [join(dataDir, 'member'), join(staged, 'member'), join(previous, 'member')];
}

interface WalFolders {
  readonly own: string;
  readonly staged: string;
  /** Some of the old log is in it, or all. */
  readonly leaving: string;
  /** All of the old log is in it. */
  readonly previous: string;
  /** It goes back: some of it may be back already. */
  readonly returning: string;
  readonly discarded: string;
}

function walFolders({ stagedWal = '' }: RestoreDirs): WalFolders {
  const own = join(stagedWal, '..');
  const at = (name: string): string => join(own, name);
  return {
    ...{ own, staged: stagedWal, leaving: at('leaving'), previous: at('previous') },
    ...{ returning: at('returning'), discarded: at('discarded') },
  };
}

/** A WAL dir may be a filesystem of its own, which can't be renamed: its entries are, and folders' names tell how far. */
async function swapWalIn(wal: string, { own, staged, leaving, previous }: WalFolders): Promise<void> {
  if (!(await isThere(previous))) {
    await makeFolders(leaving, 0o700);
    await moveEntries(wal, leaving);
    await rename(leaving, previous);
    await syncFolder(own);
  }
  if (await isThere(staged)) await moveEntries(staged, wal);
}

async function swapWalBack(wal: string, folders: WalFolders): Promise<void> {
  const { own, leaving, previous, returning, discarded } = folders;
  if (await isThere(previous)) {
    await makeFolders(discarded, 0o700);
    await moveEntries(wal, discarded);
    await rename(previous, returning);
    await syncFolder(own);
  } else if (await isThere(leaving)) {
    await rename(leaving, returning);
    await syncFolder(own);
  }
  if (!(await isThere(returning))) return;
  await moveEntries(returning, wal);
  await rmdir(returning);
}

async function moveEntries(from: string, to: string): Promise<void> {
  for (const name of await readdir(from))
    if (!LEFT_ALONE.has(name)) await rename(join(from, name), join(to, name));
  await syncFolder(to);
  await syncFolder(from);
}

async function move(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncFolder(join(to, '..'));
  await syncFolder(join(from, '..'));
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

function notStaged(staged: string): GuardianError {
  return new GuardianError('restore.not-staged', `${staged} is not as this restore left it`, {
    hint: 'Someone changed it by hand. Nothing was overwritten: look at the data dir and its .etcdguardian folder.',
  });
}
