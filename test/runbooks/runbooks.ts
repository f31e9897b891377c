import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';
import { DEFAULT_ETCD, requireTool } from '../harness/tools.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The pages of docs/OPERATIONS.md by their numbers, each with its shell blocks in order; -1 is what stands before. */
export async function runbooks(): Promise<ReadonlyMap<number, readonly string[]>> {
  const text = await readFile(join(ROOT, 'docs', 'OPERATIONS.md'), 'utf8');
  const [before = '', ...pages] = text.split(/^## (?=\d+\. )/m);
  const blocksOf = (page: string): string[] =>
    Array.from(page.matchAll(/^```sh\n([\s\S]*?)^```$/gm), ([, block = '']) => block);
  return new Map([
    [-1, blocksOf(before)],
    ...pages.map((page): [number, string[]] => [parseInt(page, 10), blocksOf(page)]),
  ]);
}

/** What stands in the page, and what is put in its place. */
export type Substitutions = readonly (readonly [text: string | RegExp, replacement: string])[];

export interface Operator {
  /** Runs the next block of a page, which must succeed; resolves to what it printed. */
  next(page: number, more?: Substitutions): Promise<string>;
  /** Asserts that nothing of these pages was left out. */
  done(...pages: readonly number[]): void;
}

/** A person who follows the pages word by word, with their own places in place of those in the text. */
export async function operator(
  home: TemporaryFolder,
  substitutions: Substitutions,
  env: Readonly<Record<string, string>> = {},
): Promise<Operator> {
  const pages = await runbooks();
  const root = home.join('root');
  for (const folder of [root, home.join('var-tmp')]) await mkdir(folder, { recursive: true });
  const places: Substitutions = [
    ...substitutions,
    ['/root/', `${root}/`],
    ['/var/tmp', home.join('var-tmp')],
  ];
  const programs = [
    join(ROOT, 'bin'),
    ...['etcdctl', 'etcd'].map((one) => dirname(requireTool(one, DEFAULT_ETCD))),
  ];
  const machine = {
    ...process.env,
    ...{ HOME: home.path, XDG_STATE_HOME: home.join('state') },
    // On a loaded machine etcdctl's own 2 s and 5 s may be too short.
    ...{ ETCDCTL_DIAL_TIMEOUT: '60s', ETCDCTL_COMMAND_TIMEOUT: '60s' },
    PATH: [...programs, process.env.PATH ?? ''].join(delimiter),
    ...env,
  };
  const told = new Map<number, number>();
  const preamble = replaced(pages.get(-1)?.[0] ?? '', places);
  return {
    async next(page, more = []) {
      const at = told.get(page) ?? 0;
      told.set(page, at + 1);
      const block = pages.get(page)?.[at];
      assert.ok(block !== undefined, `page ${page} has no block ${at + 1}`);
      const script = replaced(block, [...more, ...places]);
      return shell(`${preamble}\n${script}`, machine, `page ${page}, block ${at + 1}:\n${script}`);
    },
    done(...asked) {
      for (const page of asked)
        assert.equal(told.get(page), pages.get(page)?.length, `page ${page}: blocks that were run`);
    },
  };
}

function replaced(text: string, substitutions: Substitutions): string {
  return substitutions.reduce((done, [from, to]) => done.replaceAll(from, () => to), text);
}

/** A hang is a failure. */
const DEADLINE_MS = 180_000;

function shell(script: string, env: NodeJS.ProcessEnv, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = ['-euo', 'pipefail', '-c', script];
    execFile('bash', args, { env, timeout: DEADLINE_MS, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${what}\n${error.message}\n${stdout}${stderr}`, { cause: error }));
    });
  });
}
