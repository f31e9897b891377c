import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, writeFile } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import type { DrillFolder } from './drill-folder.ts';

/** A program of others that a drill runs, in the drill's folder. */
export interface DrillProgram {
  /** For people: `etcd`, `kube-apiserver`. */
  readonly name: string;
  /** A path, or a name that is looked for on the PATH. */
  readonly program: string;
  readonly args: readonly string[];
  /** What a Go program's garbage collector should stay below, bytes. */
  readonly memoryBytes: number;
}

export interface RunningProgram extends AsyncDisposable {
  readonly pid: number;
  /** How it ended, once it has: `exit code 1`, `SIGKILL`. */
  ended(): string | undefined;
  /** Resolves when it ends. */
  readonly exited: Promise<void>;
  /** The last lines that it wrote. */
  lastWords(): Promise<readonly string[]>;
}

/**
 * Starts a program that must not disturb anybody: least priority for processor time, and the first to go when the
 * machine has no memory left. Its environment is empty but for what it takes to run. Rejects with `drill.no-program`.
 */
export async function startProgram(
  { name, program, args, memoryBytes }: DrillProgram,
  folder: DrillFolder,
): Promise<RunningProgram> {
  const log = path.join(folder.path, `${name}.log`);
  const file = await open(log, 'a', 0o600);
  try {
    const child = spawn(program, args, {
      cwd: folder.path,
      env: {
        PATH: process.env.PATH,
        HOME: folder.path,
        TMPDIR: folder.path,
        GOMEMLIMIT: `${Math.ceil(memoryBytes)}`,
      },
      stdio: ['ignore', file.fd, file.fd],
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw noProgram(name, program, error);
    }
    const pid = child.pid ?? 0;
    let end: string | undefined;
    let unwanted = false;
    const exited = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        end = signal ?? `exit code ${code}`;
        folder.undertaker.forget(pid);
        if (signal === 'SIGKILL' && !unwanted) folder.killed.push(name);
        resolve();
      });
    });
    folder.undertaker.watch(pid);
    await disturbNobody(pid);
    return {
      ...{ pid, exited },
      ended: () => end,
      lastWords: async () => (await tailOf(log)).split('\n').filter((line) => line.trim() !== ''),
      async [Symbol.asyncDispose]() {
        unwanted = true;
        // Nothing here is worth a polite end: the data goes with it.
        if (end === undefined) child.kill('SIGKILL');
        await exited;
      },
    };
  } finally {
    await file.close();
  }
}

/** Says nothing about what was restored. */
export function programKilled(name: string, cause: unknown): GuardianError {
  return new GuardianError('drill.killed', `${name} was killed, as happens where memory ends`, {
    hint: 'give the drill more memory; in the cluster it has what drills.resources of the chart says',
    cause,
  });
}

/** What a program says to `--version`, e.g. `3.6.16` or `1.36.3`. Rejects with `drill.no-program`. */
export async function versionOf(name: string, program: string, signal?: AbortSignal): Promise<string> {
  const options = { timeout: VERSION_TIMEOUT_MS, signal };
  const { stdout } = await promisify(execFile)(program, ['--version'], options).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw noProgram(name, program, error);
  });
  const version = /\bv?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1];
  if (version !== undefined && stdout.toLowerCase().includes(FIRST_WORD[name] ?? name)) return version;
  throw noProgram(name, program, new Error(`"${stdout.split('\n', 1)[0] ?? ''}" is not what ${name} says`));
}

const FIRST_WORD: Readonly<Record<string, string>> = { 'kube-apiserver': 'kubernetes' };

const VERSION_TIMEOUT_MS = 60_000;

function noProgram(name: string, program: string, error: unknown): GuardianError {
  const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
  return new GuardianError(
    'drill.no-program',
    missing
      ? `there is no program "${program}"`
      : `${program} is no ${name} that runs here: ${reasonOf(error)}`,
    { hint: `name the ${name} program of the cluster's own version with --${name} PATH`, cause: error },
  );
}

/** As far as this user may. */
async function disturbNobody(pid: number): Promise<void> {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already.
  }
  await writeFile(`/proc/${pid}/oom_score_adj`, '1000').catch(() => undefined);
}

const TAIL_BYTES = 64 * 1024;

async function tailOf(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '');
  return text.slice(-TAIL_BYTES);
}
