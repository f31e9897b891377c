import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { removeCgroup } from './cgroups.ts';
import { removeLink } from './node-network.ts';

/** Names and addresses that no other node on this machine has. */
export interface NodePlace extends AsyncDisposable {
  readonly name: string;
  /** The end of the node's cable that stays with us. */
  readonly hostInterface: string;
  readonly hostAddress: string;
  readonly nodeAddress: string;
  readonly podNetwork: string;
  readonly serviceNetwork: string;
  /** Notes what is to be removed when we can't do it ourselves. */
  note(belongings: Belongings): Promise<void>;
}

export type Belongings = z.infer<typeof Belongings>;
const Belongings = z.object({ folder: z.string(), cgroups: z.array(z.string()) });

const PLACES = 64;
const REGISTER = join(tmpdir(), 'etcdguardian-test-nodes');

/**
 * Takes a place in the machine's register: one symbolic link per place, which is made in one step and names the process
 * that has it. What dead processes left in theirs is removed first.
 */
export async function claimPlace(): Promise<NodePlace> {
  await mkdir(REGISTER, { recursive: true });
  await clearPlacesOfTheDead();
  for (let number = 0; number < PLACES; number += 1) {
    const path = join(REGISTER, String(number));
    try {
      await symlink(identityOf(process.pid), path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    return placeAt(number, path);
  }
  throw new Error(`all ${PLACES} places of nodes are taken: see ${REGISTER}`);
}

function placeAt(number: number, path: string): NodePlace {
  return {
    ...placeNames(number),
    async note(belongings) {
      // Whoever reads it may come at any moment.
      await writeFile(`${path}.json.part`, JSON.stringify(belongings));
      await rename(`${path}.json.part`, `${path}.json`);
    },
    async [Symbol.asyncDispose]() {
      await rm(`${path}.json`, { force: true });
      await rm(path);
    },
  };
}

/** 10.213 and 10.214 for pods and Services, 10.215 for cables. */
function placeNames(number: number): Omit<NodePlace, 'note' | typeof Symbol.asyncDispose> {
  return {
    name: `node-${number}`,
    hostInterface: `etcdguard${number}`,
    hostAddress: `10.215.${number}.1`,
    nodeAddress: `10.215.${number}.2`,
    podNetwork: `10.213.${number}.0/24`,
    serviceNetwork: `10.214.${number}.0/24`,
  };
}

/** A place stays taken until nothing of the dead is left in it: whoever moved in before would lose what is theirs. */
async function clearPlacesOfTheDead(): Promise<void> {
  const places = (await readdir(REGISTER)).filter((name) => /^\d+$/.test(name));
  for (const place of places) {
    const path = join(REGISTER, place);
    const owner = await ownerOf(path);
    if (owner === undefined || isAlive(owner)) continue;
    const tasks = await takeTask(path, owner);
    if (tasks === undefined) continue;
    // Another may have done it by now, and a third one live there.
    if ((await ownerOf(path)) === owner) await clearPlace(path, Number(place));
    for (const task of tasks) await rm(task, { force: true });
  }
}

/**
 * Takes the task of clearing up behind a dead process, or behind one that died at that task. Resolves to the links that
 * stand for it; undefined: it is another's.
 */
async function takeTask(path: string, dead: string): Promise<string[] | undefined> {
  const task = `${path}.clearing-${dead}`;
  try {
    await symlink(identityOf(process.pid), task);
    return [task];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = await ownerOf(task);
  if (holder === undefined || isAlive(holder)) return undefined;
  const tasks = await takeTask(path, holder);
  return tasks && [...tasks, task];
}

async function clearPlace(path: string, number: number): Promise<void> {
  await removeLink(placeNames(number).hostInterface);
  if (existsSync(`${path}.json`)) {
    const { folder, cgroups } = Belongings.parse(JSON.parse(await readFile(`${path}.json`, 'utf8')));
    await removeCgroup(cgroups);
    await rm(folder, { recursive: true, force: true });
    await rm(`${path}.json`);
  }
  await rm(path);
}

async function ownerOf(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined);
}

/** `pid-start`: numbers of processes are used again, but not with the same moment of start. */
function identityOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return `${pid}-${fields[19] ?? ''}`;
}

function isAlive(identity: string): boolean {
  const [pid = ''] = identity.split('-');
  try {
    return identityOf(Number(pid)) === identity;
  } catch {
    return false;
  }
}
