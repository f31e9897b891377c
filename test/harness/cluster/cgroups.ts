import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';

/** A mounted hierarchy of cgroup v1: `memory`, or `systemd` for the one without a controller. */
export interface Hierarchy {
  readonly name: string;
  /** Our own cgroup's folder in it. */
  readonly own: string;
}

/** What kubelet and runc can't do without. */
const NEEDED = ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids', 'devices', 'freezer', 'blkio'];
const MOUNTS = '/sys/fs/cgroup';

/** The hierarchies a node needs, or in a few words why it can't have them. */
export function cgroupHierarchies(): Hierarchy[] | string {
  if (!existsSync('/proc/self/cgroup')) return 'there are no cgroups here';
  const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  const hierarchies = lines.flatMap((line) => {
    const [, names = '', path = ''] = line.split(':');
    const name = names.replace(/^name=/, '');
    const own = join(MOUNTS, name, path);
    return name !== '' && existsSync(own) ? [{ name, own }] : [];
  });
  const known = new Set(hierarchies.flatMap(({ name }) => name.split(',')));
  const missing = NEEDED.filter((controller) => !known.has(controller));
  return missing.length === 0 ? hierarchies : `cgroup v1 is needed with ${missing.join(', ')}`;
}

/** Makes a cgroup below our own in every hierarchy; resolves to the folders. */
export async function createCgroup(name: string, hierarchies: readonly Hierarchy[]): Promise<string[]> {
  const folders = hierarchies.map(({ own }) => join(own, name));
  for (const [index, folder] of folders.entries()) {
    await mkdir(folder, { recursive: true });
    const own = hierarchies[index]?.own ?? '';
    // A new cpuset holds nothing, and then nobody can move in.
    for (const file of ['cpuset.cpus', 'cpuset.mems'].filter((one) => existsSync(join(folder, one))))
      await writeFile(join(folder, file), await readFile(join(own, file)));
  }
  return folders;
}

/** Ends whoever is still in a cgroup or below it, and removes it. What isn't there is no error. */
export async function removeCgroup(folders: readonly string[]): Promise<void> {
  await eventually(`nobody is left in ${folders.join(', ')}`, async () => {
    const inhabitants = new Set(folders.flatMap(processesIn));
    for (const pid of inhabitants) killIfThere(pid);
    if (inhabitants.size > 0) return false;
    for (const folder of folders) await removeTree(folder);
    return true;
  });
}

function processesIn(folder: string): number[] {
  if (!existsSync(folder)) return [];
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const here = readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  return [...here, ...below.flatMap(({ name }) => processesIn(join(folder, name)))];
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function removeTree(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await removeTree(join(folder, entry.name));
  await rmdir(folder);
}
