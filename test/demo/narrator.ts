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
  options: { show?: 'all' | 'command' } = {},
): Promise<string> {
  process.stdout.write(`${paint('36', `$ etcdguardian ${args.join(' ')}`)}\n`);
  const child = spawn(join(root, 'bin', 'etcdguardian'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const show = (chunk: Buffer): void => {
    if (options.show !== 'command') process.stdout.write(chunk.toString().replaceAll(/^(?=.)/gm, '  '));
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

function paint(code: string, text: string): string {
  return coloured ? `\u001b[${code}m${text}\u001b[0m` : text;
}
