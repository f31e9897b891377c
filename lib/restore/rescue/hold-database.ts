import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GuardianError } from '../../guardian-error.ts';

/** A database that no etcd opens as long as this is held. */
export interface HeldDatabase extends AsyncDisposable {
  /** False where the lock could not be had: that nobody has it open is known for this moment, and only as far as /proc shows. */
  readonly locked: boolean;
}

/**
 * Makes sure that no etcd has the database open, and keeps any from opening it (it waits meanwhile): bbolt's own lock is
 * taken, shared, by util-linux' flock, since a program that only reads can't be harmed by another one. Without flock
 * /proc is looked at. Rejects with `rescue.in-use`.
 */
export async function holdDatabase(path: string): Promise<HeldDatabase> {
  const child = spawn(
    'flock',
    ['--shared', '--nonblock', '--conflict-exit-code', String(TAKEN), path, 'sh', '-c', 'echo held; cat'],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  );
  const ended = new Promise<number | undefined>((resolve) => {
    child.once('error', () => {
      resolve(undefined);
    });
    child.once('exit', (code) => {
      resolve(code ?? undefined);
    });
  });
  child.stdin.on('error', () => undefined);
  const held = once(child.stdout, 'data').then(() => 'held' as const);
  held.catch(() => undefined);
  const outcome = await Promise.race([held, ended]);
  if (outcome === 'held') {
    return {
      locked: true,
      async [Symbol.asyncDispose]() {
        child.stdin.end();
        await ended;
      },
    };
  }
  if (outcome === TAKEN || (await holders(path)).length > 0) throw inUse(path, await holders(path));
  return { locked: false, [Symbol.asyncDispose]: () => Promise.resolve() };
}

const TAKEN = 75;

/** Processes that have the file open, as far as we may see. */
async function holders(path: string): Promise<number[]> {
  const file = await stat(path);
  const found: number[] = [];
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const folder = join('/proc', name, 'fd');
    for (const fd of await readdir(folder).catch(() => [])) {
      const link = join(folder, fd);
      if (!(await readlink(link).catch(() => '')).startsWith('/')) continue;
      const open = await stat(link).catch(() => undefined);
      if (open?.ino === file.ino && open.dev === file.dev) found.push(Number(name));
    }
  }
  return found;
}

function inUse(path: string, pids: readonly number[]): GuardianError {
  const who = pids.length === 0 ? 'another program' : `process ${pids.join(', ')}`;
  return new GuardianError('rescue.in-use', `${who} has ${path} open: that etcd is not dead`, {
    hint: 'A running etcd is backed up with "etcdguardian backup create --endpoints …", also without a quorum. To rescue its files all the same, stop it first.',
  });
}
