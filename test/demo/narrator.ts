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
  const { show: shown = 'all' } = options;
  if (shown !== 'nothing') tellCommand(args);
  const child = spawn(join(root, 'bin', 'etcdguardian'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const show = (chunk: Buffer): void => {
    if (shown === 'all') process.stdout.write(chunk.toString().replaceAll(/^(?=.)/gm, '  '));
  };
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    show(chunk);
  });
  child.stderr.on('data', show);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (status !== 0) throw new Error(`etcdguardian ${args[0] ?? ''} ended with status ${status}`);
  return printed;
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
  tellCommand([...args, '&']);
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
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    process.stdout.write(chunk.toString().replaceAll(/^(?=.)/gm, '  '));
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

function tellCommand(args: readonly string[]): void {
  process.stdout.write(`${paint('36', `$ etcdguardian ${args.join(' ')}`)}\n`);
}

function paint(code: string, text: string): string {
  return coloured ? `\u001b[${code}m${text}\u001b[0m` : text;
}
