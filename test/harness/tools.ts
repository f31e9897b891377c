import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pinnedTools } from '../../tools/pinned.ts';

export const ETCD_VERSIONS = ['3.4.23', '3.5.35', '3.6.16', '3.7.3'] as const;
export type EtcdVersion = (typeof ETCD_VERSIONS)[number];

/** The version that a test runs when it doesn't care. */
export const DEFAULT_ETCD: EtcdVersion = '3.6.16';

/** A program of a pinned tool: `'versitygw'`, or `'etcd 3.5.35'` where there are several versions. */
export type Need = string;

const root = join(import.meta.dirname, '..', '..');

/**
 * Options for `test()`: skips the test, with one loud line, when a program it needs isn't on this machine. In CI
 * nothing is skipped, and what is missing fails when it is used.
 *
 *     test('a learner is not chosen', needs('etcd 3.6.16', 'etcdctl 3.6.16'), async () => { … });
 */
export function needs(...programs: readonly Need[]): { skip?: string } {
  if (process.env.CI !== undefined) return {};
  const missing = programs.filter((need) => findTool(...split(need)) === undefined);
  return missing.length === 0
    ? {}
    : { skip: `NOT RUN: no ${missing.join(', no ')}; \`make tools\` fetches it` };
}

/** The path of a program that must be there; throws an error that says how to get it. */
export function requireTool(program: string, version?: string): string {
  const path = findTool(program, version);
  if (path !== undefined) return path;
  throw new Error(`no ${[program, version].join(' ').trim()} in .tools/ or on the PATH; run \`make tools\``);
}

/** The path of a program: that of `.tools/`, else one on the PATH that says it has this version. */
export function findTool(program: string, version?: string): string | undefined {
  for (const tool of pinnedTools) {
    if (!tool.programs.includes(program) || (version !== undefined && tool.version !== version)) continue;
    const path = join(root, '.tools', `${tool.name}-${tool.version}`, program);
    if (existsSync(path)) return path;
  }
  return onPath(program).find((path) => version === undefined || saysVersion(path, version));
}

function onPath(program: string): string[] {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, program)).filter(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function saysVersion(path: string, version: string): boolean {
  return ['--version', 'version'].some((argument) => {
    try {
      return execFileSync(path, [argument], { encoding: 'utf8', stdio: 'pipe' }).includes(version);
    } catch {
      return false;
    }
  });
}

function split(need: Need): [program: string, version?: string] {
  const [program = need, version] = need.split(' ');
  return version === undefined ? [program] : [program, version];
}
