import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { reasonOf } from '../../lib/guardian-error.ts';
import { DEADLINE_MS } from './eventually.ts';
import { leftovers } from './leftovers.ts';

/** A running child process that a test talks to. It never outlives the test process. */
export interface ServerProcess extends AsyncDisposable {
  readonly pid: number;
  /** Resolves when it ends, to how: its exit code, or the signal's name. */
  readonly exited: Promise<number | NodeJS.Signals>;
  isRunning(): boolean;
  /** The last lines it wrote, stdout and stderr as they came. */
  output(): string;
  /** Resolves to the first line that matches, past ones included; rejects when it ends first or the deadline passes. */
  line(pattern: RegExp, deadlineMs?: number): Promise<string>;
  /** Sends the signal; nothing happens when it has ended. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it politely (SIGTERM, and SIGCONT where it is paused), by force after `politeMs`, default 10 s; waits for its end. */
  stop(politeMs?: number): Promise<void>;
  /** Ends it with SIGKILL, and waits for its end. */
  kill(): Promise<void>;
}

const KEPT_LINES = 400;
const POLITE_MS = 10_000;

/** Starts `command`. Rejects when it can't be started. */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ServerProcess> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  await once(child, 'spawn');
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${command} started without a process id`);
  leftovers.addProcess(pid);

  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    readLines(stream, (line) => {
      if (lines.push(line) > KEPT_LINES) lines.shift();
      for (const listener of listeners) listener(line);
    });
  }
  const output = (): string => lines.join('\n');

  let ended = false;
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    // 'close', not 'exit': by then its last words have been read too.
    child.once('close', (code, signal) => {
      ended = true;
      leftovers.removeProcess(pid);
      resolve(code ?? signal ?? 'SIGKILL');
    });
  });

  const signal = (name: NodeJS.Signals): void => {
    if (ended) return;
    child.kill(name);
    if (name === 'SIGSTOP') waitUntilStopped(pid);
  };
  const kill = async (): Promise<void> => {
    signal('SIGKILL');
    await exited;
  };
  const stop = async (politeMs = POLITE_MS): Promise<void> => {
    const force = setTimeout(signal, politeMs, 'SIGKILL');
    signal('SIGTERM');
    signal('SIGCONT');
    await exited;
    clearTimeout(force);
  };
  const line = async (pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<string> => {
    const past = lines.find((written) => pattern.test(written));
    if (past !== undefined) return past;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const listener = (written: string): void => {
      if (pattern.test(written)) resolve(written);
    };
    listeners.add(listener);
    const late = setTimeout(() => {
      reject(new Error(`${command} didn't say ${String(pattern)} within ${deadlineMs} ms:\n${output()}`));
    }, deadlineMs);
    void exited.then((how) => {
      reject(new Error(`${command} ended (${how}) before it said ${String(pattern)}:\n${output()}`));
    });
    try {
      return await promise;
    } finally {
      clearTimeout(late);
      listeners.delete(listener);
    }
  };

  return {
    pid,
    exited,
    isRunning: () => !ended,
    output,
    line,
    signal,
    stop,
    kill,
    [Symbol.asyncDispose]: () => stop(),
  };
}

function readLines(stream: Readable, listener: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', listener);
  stream.on('error', (error) => {
    listener(`(its output broke: ${reasonOf(error)})`);
  });
}

const STOPPING_MS = 10_000;

/** The kernel stops a process's threads one after the other: until the last one has, it may still answer. Linux only. */
function waitUntilStopped(pid: number): void {
  const tasks = `/proc/${pid}/task`;
  const deadline = performance.now() + STOPPING_MS;
  while (existsSync(tasks) && performance.now() < deadline) {
    // Who has ended by now, thread or process, does nothing more either.
    if (statesBelow(tasks).every((state) => /\) [TtZX] /.test(state))) return;
  }
}

function statesBelow(tasks: string): string[] {
  try {
    return readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/stat`, 'latin1'));
  } catch {
    // One of them ended meanwhile.
    return [') R '];
  }
}
