import { type ChildProcess, spawn } from 'node:child_process';
import type { HookUpdate } from '../../lib/agent-api/task-messages.ts';
import type { Sent } from '../../lib/agent-api/fields.ts';
import { GuardianError } from '../../lib/guardian-error.ts';

export interface Hook {
  /** For messages and the hook's own environment. */
  readonly name: string;
  readonly operation: string;
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

/** Enters the node's own namespaces, and becomes what stands behind it. */
export const ON_NODE: readonly string[] = [
  ...['nsenter', '--target', '1', '--mount', '--uts', '--ipc', '--net', '--pid', '--'],
];

/** Of each stream; what a hook says beyond is dropped, and that it was is said. */
const MOST_OUTPUT = 64 * 1024;

/**
 * Runs a command through `runner`, and hands out what it says, then how it ended. It ends with all of its processes when
 * its time is over (which is said, not thrown), when the loop is left and when `signal` aborts. Rejects with
 * `agent.hook` when it can't be started.
 */
export async function* runHook(
  hook: Hook,
  runner: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Sent<HookUpdate>, void> {
  const [program = '', ...args] = [...runner, ...hook.command];
  const child = spawn(program, args, {
    // A group of its own, to be ended as one.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ETCDGUARDIAN_OPERATION: hook.operation,
      ETCDGUARDIAN_HOOK: hook.name,
    },
  });
  const said = new HookOutput(child);
  const limit = { reached: false };
  const timer = setTimeout(() => {
    limit.reached = true;
    endGroup(child);
  }, hook.timeoutMs);
  const stop = (): void => {
    endGroup(child);
  };
  signal.addEventListener('abort', stop);
  try {
    if (signal.aborted) stop();
    yield* said.updates();
    const end = await said.ended;
    if (end instanceof Error) {
      throw new GuardianError('agent.hook', `hook ${hook.name} can't be started: ${end.message}`, {
        hint: 'The command must exist on the node; it is started without a shell.',
        cause: end,
      });
    }
    signal.throwIfAborted();
    yield { ended: true, exitCode: limit.reached ? -1 : end, timedOut: limit.reached };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    endGroup(child);
  }
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of them have ended.
  }
}

class HookOutput {
  /** The exit code, 128 + n for a signal, or why it wasn't started. */
  readonly ended: Promise<number | Error>;
  private readonly waiting: Sent<HookUpdate>[] = [];
  private wake: () => void = () => undefined;
  private over = false;

  constructor(child: ChildProcess) {
    for (const name of ['stdout', 'stderr'] as const) {
      let room = MOST_OUTPUT;
      child[name]?.on('data', (bytes: Buffer) => {
        const part = bytes.subarray(0, room);
        if (part.length > 0) this.waiting.push({ [name]: part });
        if (room > 0 && bytes.length > room)
          this.waiting.push({ [name]: Buffer.from('\n[more was said]\n') });
        room = Math.max(room - bytes.length, 0);
        this.wake();
      });
    }
    this.ended = new Promise((resolve) => {
      const end = (how: number | Error): void => {
        this.over = true;
        resolve(how);
        this.wake();
      };
      child.once('error', end);
      // Not at its streams' end: a process that it left behind may hold them open.
      child.once('exit', (code, signal) => {
        setImmediate(() => {
          end(code ?? (signal === null ? 1 : 128));
        });
      });
    });
  }

  async *updates(): AsyncGenerator<Sent<HookUpdate>, void> {
    for (;;) {
      const next = this.waiting.shift();
      if (next !== undefined) yield next;
      else if (this.over) return;
      else
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
    }
  }
}
