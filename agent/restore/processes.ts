import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A process as /proc shows it; the agent's pod shares the node's process ids. */
export interface NodeProcess {
  readonly pid: number;
  readonly args: readonly string[];
}

const PROC = '/proc';

/**
 * The processes that were started with this command line: the program's name and every argument equal. Zombies are none.
 */
export async function processesOf(command: readonly string[]): Promise<NodeProcess[]> {
  const [program = '', ...args] = command;
  return await find(
    (found) =>
      basename(found[0] ?? '') === basename(program) &&
      found.length === command.length &&
      args.every((arg, at) => arg === found[at + 1]),
  );
}

/** The processes whose program has this name and whose command line has all these arguments. */
export async function processesWith(program: string, args: readonly string[]): Promise<NodeProcess[]> {
  return await find(
    (found) => basename(found[0] ?? '') === program && args.every((arg) => found.includes(arg)),
  );
}

/**
 * The processes that have this file open, by device and inode, so that it doesn't matter under which path they see it.
 * None where the file is not there. What may not be looked into is passed over.
 */
export async function processesHolding(path: string): Promise<number[]> {
  const file = await stat(path).catch(() => undefined);
  if (file === undefined) return [];
  const holding: number[] = [];
  for (const pid of await pids()) {
    const folder = join(PROC, String(pid), 'fd');
    for (const name of await readdir(folder).catch(() => [])) {
      const link = join(folder, name);
      // Sockets and pipes are most of them, and cheap to tell.
      const target = await readlink(link).catch(() => '');
      if (!target.startsWith('/')) continue;
      const open = await stat(link).catch(() => undefined);
      if (open?.ino !== file.ino || open.dev !== file.dev) continue;
      holding.push(pid);
      break;
    }
  }
  return holding.filter((pid) => pid !== process.pid);
}

/** Sends a signal; one that has ended, or is not ours to end, is passed over. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone, which is what was wanted; or we see later that it isn't.
  }
}

async function find(fits: (args: readonly string[]) => boolean): Promise<NodeProcess[]> {
  const found = await Promise.all(
    (await pids()).map(async (pid) => {
      const args = await argsOf(pid);
      return args.length > 0 && fits(args) ? { pid, args } : undefined;
    }),
  );
  return found.filter((one) => one !== undefined);
}

async function pids(): Promise<number[]> {
  return (await readdir(PROC)).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Empty for a process that ended, a zombie, and a thread of the kernel. */
async function argsOf(pid: number): Promise<string[]> {
  const text = await readFile(join(PROC, String(pid), 'cmdline'), 'utf8').catch(() => '');
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}
