import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const PROC = '/proc';

/**
 * The uid of the pod that a process is in, by its cgroup; undefined for one in no pod, and one that ended. The kubelet
 * names cgroups of pods `pod<uid>`, systemd's driver `kubepods-<class>-pod<uid with _>.slice`; what stands before it
 * depends on who looks, and a node within a pod is told by the innermost.
 */
export async function podOf(pid: number): Promise<string | undefined> {
  return podIn(await readFile(join(PROC, String(pid), 'cgroup'), 'utf8').catch(() => ''));
}

/** The same of a text like /proc/PID/cgroup. */
export function podIn(text: string): string | undefined {
  for (const line of text.split('\n')) {
    const [, uid] = IN_POD.exec(line) ?? [];
    if (uid !== undefined) return uid.replaceAll('_', '-');
  }
  return undefined;
}

/** A static pod's uid is a hash without dashes. */
const IN_POD = /.*[/-]pod([0-9a-f]{8}[-_0-9a-f]{24,28})(?:\.slice)?(?:\/|$)/;

/** The processes in these pods, of sandboxes too. Zombies are none. */
export async function processesInPods(uids: ReadonlySet<string>): Promise<number[]> {
  if (uids.size === 0) return [];
  const all = (await readdir(PROC)).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    all.map(async (pid) => {
      const uid = await podOf(pid);
      return uid !== undefined && uids.has(uid) && (await isAlive(pid)) ? pid : undefined;
    }),
  );
  return found.filter((pid) => pid !== undefined);
}

/**
 * When a process was started, in ticks since the machine was: with its number it tells a process from every other one.
 * Undefined where there is none.
 */
export async function startOf(pid: number): Promise<string | undefined> {
  return (await statOf(pid))?.[19];
}

async function isAlive(pid: number): Promise<boolean> {
  const [state = 'X'] = (await statOf(pid)) ?? [];
  return state !== 'Z' && state !== 'X';
}

/** proc_pid_stat(5), from the third field on: the second may hold anything. */
async function statOf(pid: number): Promise<string[] | undefined> {
  const text = await readFile(join(PROC, String(pid), 'stat'), 'latin1').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}
