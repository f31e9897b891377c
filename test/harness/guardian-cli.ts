import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import { run } from '../../cli/run.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

/** What one command line did. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/** `etcdguardian`, as a person on one machine runs it. */
export interface GuardianCli {
  /** Runs a command line in this process, to its end. */
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** Runs it with `--output json`; it must succeed, and print one document that fits the schema. */
  json<Schema extends z.ZodType>(
    schema: Schema,
    args: readonly string[],
    options?: RunOptions,
  ): Promise<z.output<Schema>>;
  /** Runs it; it must fail with this status, and say this code. Resolves to what it said. */
  fails(status: number, code: string, args: readonly string[], options?: RunOptions): Promise<string>;
  /** Starts it as a process of its own, to be interrupted or killed; `within` is a command that runs it. */
  start(args: readonly string[], options?: StartOptions): Promise<ServerProcess>;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly within?: readonly string[];
}

/** Of compiled code, which is no matter of one machine: its home stays clean, and starts take half the time. */
const CACHE_HOME = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');

const PROGRAM = join(import.meta.dirname, '..', '..', 'cli', 'main.ts');

/** The program on a machine whose home is `home`: what it remembers of stores stays there. */
export function guardianCli(
  home: TemporaryFolder,
  ofMachine: Readonly<Record<string, string>> = {},
): GuardianCli {
  const machine = { HOME: home.path, XDG_STATE_HOME: home.join('state'), ...ofMachine };
  const cli: GuardianCli = {
    async run(args, { env = {}, clock = systemClock, signal = new AbortController().signal } = {}) {
      const stdout = new Written();
      const stderr = new Written();
      const terminal = { stdout, stderr, env: { ...machine, ...env }, signal };
      const status = await run(patient(args), terminal, clock);
      return { status, stdout: stdout.text, stderr: stderr.text };
    },
    async json(schema, args, options) {
      const outcome = await cli.run([...args, '--output', 'json'], options);
      assert.equal(outcome.status, 0, `${args.join(' ')}\n${outcome.stderr}${outcome.stdout}`);
      return schema.parse(JSON.parse(outcome.stdout));
    },
    async fails(status, code, args, options) {
      const outcome = await cli.run(args, options);
      const told = `${args.join(' ')}\n${outcome.stderr}${outcome.stdout}`;
      assert.match(outcome.stderr, new RegExp(`^etcdguardian: .*\\[${code}\\]$`, 'm'), told);
      assert.equal(outcome.status, status, told);
      return outcome.stderr;
    },
    start(args, { env = {}, within = [] } = {}) {
      const [command = '', ...rest] = [...within, process.execPath, PROGRAM, ...patient(args)];
      const caches = { XDG_CACHE_HOME: CACHE_HOME };
      return startProcess(command, rest, { env: { ...process.env, ...caches, ...machine, ...env } });
    },
  };
  return cli;
}

/** On a loaded machine the program's own 5 s for a connection to etcd may be too short. */
function patient(args: readonly string[]): readonly string[] {
  return args.includes('--endpoints') ? [...args, '--connect-timeout', '60s'] : args;
}

class Written {
  text = '';

  write(text: string): void {
    this.text += text;
  }
}
