import { lstat, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { diskError } from '../../etcd/durable-file.ts';
import { makeFolders } from '../../make-folders.ts';
import { startUndertaker, type Undertaker } from './undertaker.ts';

/** Where everything of one drill lies; only its owner may look into it. Removed at the end. */
export interface DrillFolder extends AsyncDisposable {
  readonly path: string;
  readonly undertaker: Undertaker;
  /** Names of programs that somebody else killed: the kernel, most likely, when memory ended. */
  readonly killed: string[];
}

const PREFIX = 'etcdguardian-drill-';
const OWNER_FILE = 'owner.json';

/** Makes an empty folder in `workDir`, which is made where it is missing. Rejects with errors of the disk. */
export async function drillFolder(workDir: string): Promise<DrillFolder> {
  try {
    await makeFolders(workDir, 0o700);
    const folder = await mkdtemp(path.join(path.resolve(workDir), PREFIX));
    const undertaker = startUndertaker(folder);
    await writeFile(path.join(folder, OWNER_FILE), JSON.stringify(await ownIdentity()), { mode: 0o600 });
    return {
      ...{ path: folder, undertaker, killed: [] },
      async [Symbol.asyncDispose]() {
        await removeFolder(folder);
        undertaker.dismiss();
      },
    };
  } catch (error) {
    throw diskError(error, `making a folder for the drill in ${workDir}`);
  }
}

/**
 * Removes what drills left in `workDir` whose process is gone, and ends the programs that they started. Folders of
 * others, and of drills that may still run, are left alone. Resolves to the folders removed.
 */
export async function removeLeftovers(workDir: string, now: Date): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await namesIn(workDir)) {
    const folder = path.join(path.resolve(workDir), name);
    if (!name.startsWith(PREFIX) || !(await isLeftover(folder, now))) continue;
    for (const pid of await processesIn(folder)) kill(pid);
    await removeFolder(folder);
    removed.push(folder);
  }
  return removed;
}

/** A process, so that no later one is taken for it. */
const identitySchema = z.object({
  pid: z.int().positive(),
  /** Clock ticks since boot, as the kernel tells; empty where it doesn't. */
  startedAt: z.string(),
  boot: z.string(),
  /** The processes that its number counts among: containers each count from 1. */
  pidNamespace: z.string(),
});

type Identity = z.output<typeof identitySchema>;

async function ownIdentity(): Promise<Identity> {
  const pid = process.pid;
  return { pid, startedAt: await startOf(pid), boot: await bootId(), pidNamespace: await pidNamespace() };
}

/** How long a folder is taken for one in use when nobody can tell whether its drill still runs. */
const DOUBTFUL_MS = 24 * 3_600_000;

async function isLeftover(folder: string, now: Date): Promise<boolean> {
  const about = await lstat(folder).catch(() => undefined);
  if (about?.isDirectory() !== true || about.uid !== process.getuid?.()) return false;
  const old = now.getTime() - about.mtimeMs > DOUBTFUL_MS;
  const owner = await ownerOf(folder);
  // A drill writes its owner right after it made the folder.
  if (owner === undefined) return old;
  if (owner.boot !== (await bootId())) return true;
  if (owner.pidNamespace !== (await pidNamespace())) return old;
  return owner.startedAt === '' ? !answers(owner.pid) : owner.startedAt !== (await startOf(owner.pid));
}

async function ownerOf(folder: string): Promise<Identity | undefined> {
  try {
    const parsed: unknown = JSON.parse(await readFile(path.join(folder, OWNER_FILE), 'utf8'));
    return identitySchema.parse(parsed);
  } catch {
    return undefined;
  }
}

/** Programs of a drill run in its folder. */
async function processesIn(folder: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await namesIn('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const cwd = await readlink(`/proc/${name}/cwd`).catch(() => '');
    if (cwd === folder) found.push(pid);
  }
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function answers(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Field 22 of proc_pid_stat(5), behind the name, which may hold anything; empty when there is no such process. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '')).trim();
}

async function pidNamespace(): Promise<string> {
  return readlink('/proc/self/ns/pid').catch(() => '');
}

async function removeFolder(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  } catch (error) {
    throw diskError(error, `removing what a drill made in ${folder}`);
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}
