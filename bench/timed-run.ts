import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** What one run of a whole process cost. */
export interface RunCost {
  readonly wallSeconds: number;
  /** User and system time, of all its threads. */
  readonly cpuSeconds: number;
  /** Peak resident set of the process, bytes. */
  readonly peakBytes: number;
}

/**
 * Runs a program to its end and measures it from outside: wall and CPU time as bash's `time` tells them, the peak of
 * its memory as the kernel keeps it (VmHWM, looked at every 20 ms). Rejects when it fails.
 */
export async function timedRun(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<RunCost> {
  const script = 'TIMEFORMAT="TIMED %R %U %S"; time "$@"';
  const shell = spawn('bash', ['-c', script, 'bash', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let errors = '';
  shell.stdout.resume();
  shell.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  let peakBytes = 0;
  const look = setInterval(() => {
    void peakOfChild(shell.pid ?? 0).then((bytes) => {
      peakBytes = Math.max(peakBytes, bytes);
    });
  }, 20);
  const status = await new Promise<number | null>((resolve, reject) => {
    shell.once('error', reject);
    shell.once('close', resolve);
  });
  clearInterval(look);
  const times = /TIMED ([\d.]+) ([\d.]+) ([\d.]+)/.exec(errors);
  if (status !== 0 || times === null) throw new Error(`${command.join(' ')} failed: ${errors}`);
  const [wall, user, system] = times.slice(1).map(Number);
  return { wallSeconds: wall ?? 0, cpuSeconds: (user ?? 0) + (system ?? 0), peakBytes };
}

async function peakOfChild(shell: number): Promise<number> {
  try {
    const children = await readFile(`/proc/${shell}/task/${shell}/children`, 'utf8');
    const status = await readFile(`/proc/${children.trim().split(' ')[0] ?? ''}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0; // It has ended, or not begun.
  }
}
