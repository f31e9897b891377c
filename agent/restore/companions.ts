import { dirname } from 'node:path';
import { z } from 'zod';
import { reasonOf } from '../../lib/guardian-error.ts';
import { staticPods } from '../etcd/static-pod.ts';
import { readState, writeState } from '../state/state-file.ts';
import { untilApiServerReady } from './api-server-ready.ts';
import { restartUnit } from './command-service.ts';
import type { Deadline } from './node-service.ts';
import { startOf } from './pod-processes.ts';
import { processesWith, signalProcess } from './processes.ts';
import { waitUntil, within } from './wait-until.ts';

/**
 * Programs of the control plane that live on what API servers told them. What they remember is of a world that a restore
 * took away, so they are started anew behind it. None of it can fail a restore: what didn't work is said.
 */
export interface Companions {
  /** Which of them run now, kept on disk for `restart`. To be called before API servers stop. Never rejects. */
  note(): Promise<void>;
  /**
   * Ends those that were noted and still run, once the API server of this node is ready: only then they can give their
   * Lease back, and come up at the first try. Whoever came up anew meanwhile has seen nothing yet, and is left alone, so
   * that the kubelet's back-off doesn't count it. Resolves to what was done, for people; never rejects.
   */
  restart(deadline: Deadline): Promise<string>;
}

const PROGRAMS = ['kube-scheduler', 'kube-controller-manager', 'cloud-controller-manager'] as const;

const schema = z.array(z.object({ program: z.string(), pid: z.number(), start: z.string() }));
type Noted = z.output<typeof schema>[number];

/** `apiServers`: manifests and units of this node; their neighbours are meant. `file`: of this restore. */
export function companions(apiServers: readonly string[], file: string): Companions {
  const [manifest] = apiServers.filter((from) => from.startsWith('/'));
  const byUnits = manifest === undefined && apiServers.length > 0;
  return {
    async note() {
      if (manifest === undefined) return;
      const running = await runningBeside(manifest).catch(() => []);
      // A second attempt at the same step must not take what came up meanwhile for what was there before.
      const noted = await readState(file).catch(() => undefined);
      if (noted === undefined) await writeState(file, JSON.stringify(running)).catch(() => undefined);
    },
    async restart(deadline) {
      try {
        if (byUnits) return await restartUnits(deadline);
        if (manifest === undefined) return '';
        const [pod] = await staticPods(dirname(manifest), 'kube-apiserver');
        const isReady = await untilApiServerReady(pod?.args ?? [], within(deadline, READY_MS));
        const noted = schema.parse(JSON.parse((await readState(file)) ?? '[]'));
        const ends = await Promise.all(noted.map((one) => restarted(one, deadline)));
        const late = isReady ? [] : [`the API server was not ready within ${READY_MS / 1_000} s`];
        return [...late, ...ends].join('; ');
      } catch (error) {
        return `scheduler and controller manager were not restarted: ${reasonOf(error)}`;
      }
    },
  };
}

/** An API server that takes longer has other troubles. */
const READY_MS = 60_000;
const ENDS_WITHIN_MS = 5_000;

async function runningBeside(manifest: string): Promise<Noted[]> {
  const found: Noted[] = [];
  for (const program of PROGRAMS) {
    for (const { args } of await staticPods(dirname(manifest), program)) {
      for (const { pid } of await processesWith(program, args)) {
        const start = await startOf(pid);
        if (start !== undefined) found.push({ program, pid, start });
      }
    }
  }
  return found;
}

async function restarted({ program, pid, start }: Noted, deadline: Deadline): Promise<string> {
  const isGone = async (): Promise<boolean> => (await startOf(pid)) !== start;
  if (await isGone()) return `${program} had come up anew`;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    signalProcess(pid, signal);
    if (await waitUntil(isGone, within(deadline, ENDS_WITHIN_MS))) return `${program} was restarted`;
  }
  return `${program} (process ${pid}) could not be ended`;
}

/** systemd knows no back-off for what it was told to restart; what it doesn't have is not there. */
async function restartUnits(deadline: Deadline): Promise<string> {
  const ends = await Promise.all(
    PROGRAMS.map(async (program) => {
      try {
        await restartUnit(`${program}.service`, within(deadline, READY_MS));
        return `unit ${program} was restarted where it ran`;
      } catch (error) {
        return `unit ${program} was not restarted: ${reasonOf(error)}`;
      }
    }),
  );
  return ends.join('; ');
}
