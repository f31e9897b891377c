import { spawn } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const coloured = process.stdout.isTTY && process.env.NO_COLOR === undefined;

/** Tells the story of a demo on stdout: what happens, the commands, and what they print. */
export const narrator = {
  chapter(title: string): void {
    process.stdout.write(`\n${paint('1', `— ${title}`)}\n`);
  },
  say(text: string): void {
    process.stdout.write(`${text}\n`);
  },
};

/** Runs `etcdguardian` as a person would, shows the command and its output, and resolves to what it printed. */
export async function etcdguardian(
  args: readonly string[],
  options: { show?: 'all' | 'command' | 'nothing' } = {},
): Promise<string> {
  const { show = 'all' } = options;
  const { status, printed } = await runShown(join(root, 'bin', 'etcdguardian'), args, { show });
  if (status !== 0) throw new Error(`etcdguardian ${args[0] ?? ''} ended with status ${status}`);
  return printed;
}

export interface ShownRun {
  readonly show?: 'all' | 'command' | 'nothing';
  /** How the command is shown; default `etcdguardian` with the arguments. */
  readonly title?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Ends it, with SIGTERM, once it has printed that. */
  readonly until?: RegExp;
}

/** Runs a program to its end, and shows the command and its output. */
export async function runShown(
  path: string,
  args: readonly string[],
  { show: shown = 'all', title = `etcdguardian ${args.join(' ')}`, env, cwd, until }: ShownRun = {},
): Promise<{ readonly status: number | null; readonly printed: string }> {
  if (shown !== 'nothing') tellCommand(title);
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], env, cwd });
  let printed = '';
  const show = indented(shown === 'all');
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    show(chunk.toString());
    if (until?.test(printed) === true) child.kill('SIGTERM');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    show(chunk.toString());
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { status, printed };
}

/** Prints text as it comes, each line indented, wherever the pieces begin. */
function indented(wanted: boolean): (text: string) => void {
  let atStart = true;
  return (text) => {
    if (!wanted || text === '') return;
    const lines = text.replaceAll(/\n(?=.)/g, '\n  ');
    process.stdout.write(atStart && !text.startsWith('\n') ? `  ${lines}` : lines);
    atStart = text.endsWith('\n');
  };
}

/** An `etcdguardian` that keeps running while the story goes on. */
export interface RunningGuardian extends AsyncDisposable {
  /** Resolves once it has said so; rejects when it ends before. */
  said(pattern: RegExp): Promise<void>;
  /** Asks it to end, and waits for that. */
  stop(): Promise<void>;
}

/** Starts `etcdguardian` and shows what it says as it comes. */
export function startEtcdguardian(args: readonly string[]): RunningGuardian {
  tellCommand(`etcdguardian ${args.join(' ')} &`);
  const child = spawn(join(root, 'bin', 'etcdguardian'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => {
      resolve();
    });
    child.once('close', () => {
      resolve();
    });
  });
  let said = '';
  const show = indented(true);
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    show(chunk.toString());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  return {
    said: async (pattern) => {
      const heard = new Promise<void>((resolve) => {
        child.stderr.on('data', () => {
          if (pattern.test(said)) resolve();
        });
      });
      if (!pattern.test(said)) await Promise.race([heard, ended]);
      if (!pattern.test(said)) throw new Error(`etcdguardian ${args[0] ?? ''} ended early`);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function tellCommand(command: string): void {
  process.stdout.write(`${paint('36', `$ ${command}`)}\n`);
}

function paint(code: string, text: string): string {
  return coloured ? `\u001b[${code}m${text}\u001b[0m` : text;
}
