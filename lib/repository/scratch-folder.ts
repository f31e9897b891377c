import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError } from '../etcd/durable-file.ts';

/** A folder (mode 0700) for databases that are only needed meanwhile; disposing of it removes it with all in it. */
export interface ScratchFolder extends AsyncDisposable {
  readonly path: string;
}

/**
 * Makes one in `parent`. What lies there is a whole cluster in the clear, and a process that is killed leaves it behind:
 * so whoever makes the next one removes what nobody uses any more. Rejects with `disk.…`.
 */
export async function scratchFolder(
  parent: string,
  purpose: 'history' | 'merge' | 'points' | 'verify',
): Promise<ScratchFolder> {
  await removeLeftOvers(parent);
  const path = await mkdtemp(join(parent, `etcdguardian-${purpose}-${process.pid}-`)).catch(
    (error: unknown) => {
      throw diskError(error, `making a folder in ${parent}`);
    },
  );
  IN_USE.add(path);
  return {
    path,
    async [Symbol.asyncDispose]() {
      IN_USE.delete(path);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** Of this process. One in a container has the same id each time it is started. */
const IN_USE = new Set<string>();

const NAME = /^etcdguardian-(?:history|merge|points|verify)-(\d+)-[A-Za-z0-9]{6}$/;

/** Another container's processes can't be seen: theirs are told by being written to. */
const UNTOUCHED_MS = 10 * 60_000;

/** Removes what it can; what it can't is somebody else's. */
async function removeLeftOvers(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const pid = NAME.exec(name)?.[1];
    const path = join(parent, name);
    if (pid === undefined || isInUse(path, Number(pid))) continue;
    try {
      if (await isUntouched(path)) await rm(path, { recursive: true, force: true });
    } catch {
      continue;
    }
  }
}

function isInUse(path: string, pid: number): boolean {
  if (pid === process.pid) return IN_USE.has(path);
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

async function isUntouched(folder: string): Promise<boolean> {
  const { mtimeMs, uid } = await lstat(folder);
  if (uid !== process.getuid?.()) return false;
  let newest = mtimeMs;
  for (const name of await readdir(folder))
    newest = Math.max(newest, (await lstat(join(folder, name))).mtimeMs);
  return Date.now() - newest > UNTOUCHED_MS;
}
