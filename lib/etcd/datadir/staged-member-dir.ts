import { randomBytes } from 'node:crypto';
import { link, mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { GuardianError } from '../../guardian-error.ts';
import { makeFolders } from '../../make-folders.ts';
import { diskError, syncFolder } from '../durable-file.ts';

/** A member's folders under names that no etcd looks at, until they are complete. Both exist and are empty. */
export interface StagedMemberDir {
  readonly snapDir: string;
  readonly walDir: string;
  /** Gives everything its name, for good. */
  publish(): Promise<void>;
  /** Removes everything that was made here. */
  discard(): Promise<void>;
}

/** How folders begin that are no data dir, or not any more; the next attempt clears them away. */
export const STAGED = 'member.partial-';
/** What the root of a freshly made filesystem has in it. */
const LOST_AND_FOUND = 'lost+found';

/**
 * Begins a data dir: within it, so that it may be a filesystem of its own, and the same for a WAL dir elsewhere.
 * What attempts that crashed left behind is removed. Rejects with `restore.data-dir-exists` or
 * `restore.wal-dir-exists` when there is anything else.
 */
export async function stageMemberDir(dataDir: string, walDir: string | undefined): Promise<StagedMemberDir> {
  const staging = new Staging(placesOf(dataDir, walDir));
  try {
    await staging.begin();
    return staging;
  } catch (error) {
    await staging.discard();
    throw diskError(error, `making the data dir ${dataDir}`);
  }
}

/** Rejects as `stageMemberDir` would, and touches nothing. */
export async function checkMemberDir(dataDir: string, walDir: string | undefined): Promise<void> {
  try {
    await remainsIn(placesOf(dataDir, walDir));
  } catch (error) {
    throw diskError(error, `looking into the data dir ${dataDir}`);
  }
}

/** Absolute. */
interface Places {
  readonly root: string;
  /** Undefined where the WAL is where etcd looks for it by itself. */
  readonly separateWal: string | undefined;
}

function placesOf(dataDir: string, walDir: string | undefined): Places {
  const root = resolve(dataDir);
  const within = join(root, 'member', 'wal');
  const separateWal = walDir === undefined || resolve(walDir) === within ? undefined : resolve(walDir);
  return { root, separateWal };
}

class Staging implements StagedMemberDir {
  readonly snapDir: string;
  readonly walDir: string;

  private readonly places: Places;
  private readonly root: string;
  private readonly separateWal: string | undefined;
  private readonly member: string;
  private readonly madeParents: string[] = [];
  private readonly publishedWal: string[] = [];

  constructor(places: Places) {
    const { root, separateWal } = places;
    const name = `${STAGED}${randomBytes(6).toString('hex')}`;
    this.places = places;
    this.root = root;
    this.separateWal = separateWal;
    this.member = join(root, name);
    this.snapDir = join(this.member, 'snap');
    this.walDir = separateWal === undefined ? join(this.member, 'wal') : join(separateWal, name);
  }

  async begin(): Promise<void> {
    const { root, separateWal } = this;
    for (const path of await remainsIn(this.places)) await rm(path, { recursive: true, force: true });
    for (const folder of [root, separateWal]) {
      if (folder !== undefined) this.madeParents.push(...(await makeFolders(folder, 0o700)));
    }
    for (const folder of [this.member, this.snapDir, this.walDir]) await mkdir(folder, { mode: 0o700 });
  }

  async publish(): Promise<void> {
    await syncFolder(this.snapDir);
    await syncFolder(this.walDir);
    await syncFolder(this.member);
    // The WAL first: an etcd that found a database but no log would take itself for a member that is new.
    if (this.separateWal !== undefined) await this.publishWal(this.separateWal);
    for (const folder of this.madeParents) await syncFolder(dirname(folder));
    await rename(this.member, join(this.root, 'member'));
    await syncFolder(this.root);
    if (this.separateWal !== undefined) await rm(this.walDir, { recursive: true, force: true });
  }

  async discard(): Promise<void> {
    for (const file of this.publishedWal) await rm(file, { force: true });
    await rm(this.member, { recursive: true, force: true });
    await rm(this.walDir, { recursive: true, force: true });
    // Only where they are empty: someone else may have begun to use them.
    for (const folder of [...this.madeParents].reverse()) await rmdir(folder).catch(() => undefined);
  }

  /** As a second name, not a new one: so that after a crash it is known for ours (see `remainsOf`). */
  private async publishWal(separateWal: string): Promise<void> {
    for (const name of await readdir(this.walDir)) {
      const file = join(separateWal, name);
      await link(join(this.walDir, name), file);
      this.publishedWal.push(file);
    }
    await syncFolder(separateWal);
  }
}

/** What attempts that crashed left behind; rejects when there is anything else. */
async function remainsIn({ root, separateWal }: Places): Promise<string[]> {
  const walName = separateWal !== undefined && dirname(separateWal) === root ? basename(separateWal) : '';
  const remains = await remainsOf(root, [walName], 'restore.data-dir-exists', 'data dir');
  if (separateWal === undefined) return remains;
  return [...remains, ...(await remainsOf(separateWal, [], 'restore.wal-dir-exists', 'WAL dir'))];
}

/** Staged folders, and before them files that are also in one of them; rejects when there is anything but `allowed`. */
async function remainsOf(
  folder: string,
  allowed: readonly string[],
  code: string,
  what: string,
): Promise<string[]> {
  const names = await namesIn(folder);
  const staged = names.filter((name) => name.startsWith(STAGED));
  const ours = new Set<bigint>();
  for (const name of staged) {
    for (const file of await namesIn(join(folder, name))) ours.add(await inode(join(folder, name, file)));
  }
  const removable = [...staged];
  for (const name of names) {
    if (staged.includes(name) || name === LOST_AND_FOUND || allowed.includes(name)) continue;
    if (ours.has(await inode(join(folder, name)))) removable.unshift(name);
    else {
      throw new GuardianError(code, `the ${what} ${folder} is not empty: "${name}" is in it`, {
        hint: `a ${what} is never overwritten: stop etcd, move it aside (mv ${folder} ${folder}.old) and try again; keep it until the new cluster is proven`,
      });
    }
  }
  return removable.map((name) => join(folder, name));
}

async function inode(path: string): Promise<bigint> {
  return (await stat(path, { bigint: true })).ino;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
