/**
 * Puts the pinned servers and clients into `.tools/<name>-<version>/`, one line per tool. What is there
 * already is left alone, and what a tool's folder lacks is added; a folder appears only complete, also when two installs
 * run at once. To build one anew, remove its folder.
 *
 *     tools/install.ts [NAME|NAME-VERSION…]      only these tools
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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
  const missing = tool.programs.filter((program) => !existsSync(join(folder, program)));
  if (missing.length === 0) return 'is there';
  const started = Date.now();
  const fresh = await mkdtemp(join(root, '.tools', '.new-'));
  try {
    if (tool.source.kind === 'go') await buildWithGo(tool, tool.source, missing, fresh);
    else await unpackFromDebian(tool, tool.source, fresh);
    await chmod(fresh, 0o755);
    await putInPlace(fresh, folder, missing);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  const what = missing.length < tool.programs.length ? ` ${missing.join(', ')}` : '';
  return `installed${what} in ${Math.round((Date.now() - started) / 1000)} s`;
}

/** As a whole, or beside programs that may be running. */
async function putInPlace(fresh: string, folder: string, programs: readonly string[]): Promise<void> {
  if (!existsSync(folder)) {
    try {
      await rename(fresh, folder);
      return;
    } catch (error) {
      // Another install was faster.
      if (!existsSync(folder)) throw error;
    }
  }
  for (const program of programs) await rename(join(fresh, program), join(folder, program));
}

async function buildWithGo(
  tool: PinnedTool,
  source: GoSource,
  programs: readonly string[],
  fresh: string,
): Promise<void> {
  const cwd = join(root, source.module);
  const goMod = await readFile(join(cwd, 'go.mod'), 'utf8');
  const wanted = /^go (\S+)$/m.exec(goMod)?.[1] ?? '1.24';
  await run('go', ['version'], { cwd: tmpdir() }).catch((cause: unknown) => {
    throw new Error(`needs Go ${wanted} or newer on the PATH: install it and run \`make tools\` again`, {
      cause,
    });
  });
  const carrier = source.versionOf ?? source.packages[0];
  const pinned = goMod.split('\n').some((line) => {
    const [module, version] = line
      .trim()
      .replace(/^require /, '')
      .split(' ');
    return version === `v${tool.version}` && module !== undefined && carrier?.startsWith(module);
  });
  if (!pinned)
    throw new Error(`${source.module}/go.mod doesn't pin v${tool.version}, which tools/pinned.ts names`);

  const variables = Object.entries(source.variables ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  const flags = ['-trimpath', `-ldflags=${['-s -w', ...variables].join(' ')}`];
  if (source.tags !== undefined) flags.push(`-tags=${source.tags.join(',')}`);
  const packageOf = (program: string): string => source.packages[tool.programs.indexOf(program)] ?? program;
  // What was downloaded and built so far stays in Go's caches, so that another try goes on there.
  await ridingOut(() =>
    run('go', ['build', ...flags, '-o', `${fresh}/`, ...programs.map(packageOf)], {
      cwd,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
    }),
  );
  for (const program of programs) {
    const built = goBinaryName(packageOf(program));
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
    const debs = await fetchPackages(source, work);
    const name = source.packages[0] ?? '';
    const first = debs.map((deb) => basename(deb)).find((deb) => deb.startsWith(`${name}_`)) ?? `no ${name}`;
    if (!first.startsWith(`${name}_${tool.version}`))
      throw new LeftOut(`left out: this Debian has ${first} instead`);
    const unpacked = source.withDependencies === true ? join(fresh, 'root') : join(work, 'unpacked');
    await unpackPackages(debs, unpacked);
    for (const program of tool.programs) {
      if (source.withDependencies === true)
        await symlink(join('root', 'usr', 'bin', program), join(fresh, program));
      else await copyFile(join(unpacked, 'usr', 'bin', program), join(fresh, program));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Downloads packages into a folder; resolves to the files. Works without root, and where no lists are yet. */
async function fetchPackages(source: DebianSource, folder: string): Promise<string[]> {
  for (const name of ['lists', 'archives']) await mkdir(join(folder, name, 'partial'), { recursive: true });
  // An empty status: nothing counts as installed, so that all that is needed comes too.
  await writeFile(join(folder, 'status'), '');
  const settings = [
    ...[`Dir::State::Lists=${folder}/lists`, `Dir::State::status=${folder}/status`, `Dir::Cache=${folder}`],
    ...['Debug::NoLocking=1', 'APT::Install-Recommends=false'],
    // Else an update that lacks a part of the lists counts as done, and another version as this Debian's.
    ...['Acquire::Retries=3', 'APT::Update::Error-Mode=any'],
  ];
  const options = ['-q', ...settings.flatMap((setting) => ['-o', setting])];
  await ridingOut(() => run('apt-get', [...options, 'update'], { cwd: folder }));
  const task = source.withDependencies === true ? ['install', '--yes', '--download-only'] : ['download'];
  const archives = join(folder, 'archives');
  await ridingOut(() => run('apt-get', [...options, ...task, ...source.packages], { cwd: archives }));
  const files = (await readdir(archives)).filter((file) => file.endsWith('.deb'));
  return files.map((file) => join(archives, file));
}

/** Unpacks packages over each other; their installation scripts don't run. */
async function unpackPackages(debs: readonly string[], folder: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(folder, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(folder, name));
  }
  // dpkg -x would put folders in the place of these links.
  const unpack =
    'for deb; do dpkg --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$0" || exit; done';
  await run('sh', ['-c', unpack, folder, ...debs], { cwd: folder });
}

/** A network that is away for a moment fails no install: tries again twice, 10 and 30 s later. */
async function ridingOut(download: () => Promise<void>): Promise<void> {
  for (const pauseMs of [10_000, 30_000]) {
    try {
      await download();
      return;
    } catch {
      await delay(pauseMs);
    }
  }
  await download();
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
