import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a program to its end and resolves to its stdout; rejects with its stderr when its exit code isn't 0. */
export async function runProgram(
  path: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const { stdout } = await execute(path, args, { ...options, encoding: 'utf8', maxBuffer: 2 ** 30 });
  return stdout;
}
