/**
 * Puts the pinned servers and clients into `.tools/<name>-<version>/`, one line per tool. What is there
 * already is left alone; a folder appears only complete, also when two installs run at once. To build one
 * anew, remove its folder.
 *
 *     tools/install.ts [NAME|NAME-VERSION…]      only these tools
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type DebianSource, type GoSource, type PinnedTool, pinnedTools } from './pinned.ts';

const root = join(import.meta.dirname, '..');

/** Not this machine's to have: told in the tool's line, and no failure. */
class LeftOut extends Error {}

await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<void> {
  const isAsked = ({ name, version }: PinnedTool): boolean =>
    names.length === 0 || names.includes(name) || names.includes(`${name}-${version}`);
  const asked = pinnedTools.filter(isAsked);
  if (asked.length === 0) throw new Error(`no tool is called ${names.join(', ')}; see tools/pinned.ts`);
  await mkdir(join(root, '.tools'), { recursive: true });
  for (const tool of asked) {
    try {
      say(tool, await install(tool));
    } catch (error) {
      say(tool, error instanceof Error ? error.message : String(error));
      if (!(error instanceof LeftOut)) process.exitCode = 1;
    }
  }
}

/** Resolves to what happened, in a few words. */
async function install(tool: PinnedTool): Promise<string> {
  const folder = join(root, '.tools', `${tool.name}-${tool.version}`);
  if (existsSync(folder)) return 'is there';
  const started = Date.now();
  const fresh = await mkdtemp(join(root, '.tools', '.new-'));
  try {
    if (tool.source.kind === 'go') await buildWithGo(tool, tool.source, fresh);
    else await unpackFromDebian(tool, tool.source, fresh);
    await chmod(fresh, 0o755);
    await rename(fresh, folder).catch((error: unknown) => {
      // Another install was faster.
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return `installed in ${Math.round((Date.now() - started) / 1000)} s`;
}

async function buildWithGo(tool: PinnedTool, source: GoSource, fresh: string): Promise<void> {
  const cwd = join(root, source.module);
  const goMod = await readFile(join(cwd, 'go.mod'), 'utf8');
  const wanted = /^go (\S+)$/m.exec(goMod)?.[1] ?? '1.24';
  await run('go', ['version'], { cwd: tmpdir() }).catch((cause: unknown) => {
    throw new Error(`needs Go ${wanted} or newer on the PATH: install it and run \`make tools\` again`, {
      cause,
    });
  });
  const pinned = goMod.split('\n').some((line) => {
    const [module, version] = line.trim().split(' ');
    return version === `v${tool.version}` && module !== undefined && source.packages[0]?.startsWith(module);
  });
  if (!pinned)
    throw new Error(`${source.module}/go.mod doesn't pin v${tool.version}, which tools/pinned.ts names`);

  const variables = Object.entries(source.variables ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  const flags = ['-trimpath', `-ldflags=${['-s -w', ...variables].join(' ')}`];
  if (source.tags !== undefined) flags.push(`-tags=${source.tags.join(',')}`);
  await run('go', ['build', ...flags, '-o', `${fresh}/`, ...source.packages], {
    cwd,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
  });
  for (const [index, program] of tool.programs.entries()) {
    const built = goBinaryName(source.packages[index] ?? program);
    if (built !== program) await rename(join(fresh, built), join(fresh, program));
  }
}

/** `go build` names a binary after its path's last element that isn't a major version. */
function goBinaryName(packagePath: string): string {
  return basename(packagePath.replace(/\/v\d+$/, ''));
}

async function unpackFromDebian(tool: PinnedTool, source: DebianSource, fresh: string): Promise<void> {
  await run('apt-get', ['--version'], { cwd: tmpdir() }).catch((cause: unknown) => {
    throw new LeftOut("left out: it comes from Debian's packages, and there is no apt-get here", { cause });
  });
  const work = await mkdtemp(join(tmpdir(), 'etcdguardian-debian-'));
  try {
    // The packages' lists are fetched into a folder of our own: works without root, and with no lists yet.
    await mkdir(join(work, 'lists', 'partial'), { recursive: true });
    await mkdir(join(work, 'cache', 'archives', 'partial'), { recursive: true });
    const own = ['-q', '-o', `Dir::State::Lists=${work}/lists`, '-o', `Dir::Cache=${work}/cache`];
    await run('apt-get', ['download', '-q', ...source.packages], { cwd: work }).catch(async () => {
      await run('apt-get', [...own, 'update'], { cwd: work });
      await run('apt-get', [...own, 'download', ...source.packages], { cwd: work });
    });
    const debs = (await readdir(work)).filter((file) => file.endsWith('.deb'));
    const other = debs.find((file) => !file.includes(`_${tool.version}-`));
    if (other !== undefined) throw new LeftOut(`left out: this Debian has ${other} instead`);
    for (const deb of debs) await run('dpkg', ['-x', deb, join(work, 'unpacked')], { cwd: work });
    for (const program of tool.programs) {
      await copyFile(join(work, 'unpacked', 'usr', 'bin', program), join(fresh, program));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Runs a command to its end; its output is shown only when it fails. */
async function run(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<void> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-4_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output}`);
}

function say(tool: PinnedTool, what: string): void {
  process.stdout.write(`${tool.name.padEnd(10)} ${tool.version.padEnd(8)} ${what}\n`);
}
