import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import { isThere, moveFile } from './move-file.ts';
import type { NodeService } from './node-service.ts';
import { podOf, processesInPods } from './pod-processes.ts';
import { type NodeProcess, processesOf, signalProcess } from './processes.ts';
import { waitUntil, waitUntilSteady } from './wait-until.ts';

export interface StaticPodOptions {
  readonly manifest: string;
  /** Outside the manifests' folder: the kubelet runs whatever lies in it. */
  readonly keptIn: string;
  /** Ends it by SIGKILL as soon as the manifest is away. For API servers: told kindly they drain for half a minute. */
  readonly atOnce?: boolean | undefined;
  /** How long a process may take its time before it is told again, and then ended. */
  readonly patience?: Patience | undefined;
}

export interface Patience {
  /** The kubelet's time to end it, before we do. */
  readonly noticeMs: number;
  /** After SIGTERM, before the next one; then before SIGKILL. */
  readonly politeMs: number;
  /** Gone for so long means gone for good, where its pod's sandbox can't be seen. */
  readonly steadyMs: number;
  /** The same where it was gone before: the kubelet may be waiting to start it again. Default `steadyMs`. */
  readonly unseenMs?: number | undefined;
}

/** A kubelet that isn't told by the kernel of what changes in its folder looks every 20 s. */
const PATIENCE: Patience = { noticeMs: 1_000, politeMs: 5_000, steadyMs: 2_000, unseenMs: 22_000 };
const EVERY_MS = 50;

/**
 * A program that the kubelet runs from a file: stopped by moving that file out of its sight.
 *
 * It can't come back when its pod's sandbox has ended: as long as the kubelet knows the file, it keeps the sandbox and may
 * start the program in it again; having noticed, it ends the program, then the sandbox, and makes no other one. So the pod
 * is remembered by its cgroup, and waited for until nothing runs in it. What runs meanwhile is ended by us too.
 */
export function staticPodService(options: StaticPodOptions): NodeService {
  const { manifest, keptIn, atOnce = false, patience = PATIENCE } = options;
  const label = `static pod ${manifest}`;
  const kept = join(keptIn, basename(manifest));
  const commands = async (): Promise<Commands> =>
    await commandsOf((await isThere(manifest)) ? manifest : kept);
  return {
    label,
    async stop(deadline) {
      const ours = await commands();
      const running = (): Promise<NodeProcess[]> => processesOfAny(ours);
      const before = await running();
      const pods = await sandboxedPods(before);
      const steadyMs = before.length > 0 ? patience.steadyMs : (patience.unseenMs ?? patience.steadyMs);
      await moveFile(manifest, kept);
      const pace = atOnce
        ? { firstMs: 0, politeMs: patience.politeMs }
        : { ...patience, firstMs: patience.noticeMs };
      const nothingRuns = endedBySignals(
        running,
        atOnce ? ['SIGKILL'] : ['SIGTERM', 'SIGTERM', 'SIGKILL'],
        pace,
      );
      const isOver =
        pods.size === 0
          ? await waitUntilSteady(nothingRuns, steadyMs, deadline, EVERY_MS)
          : await waitUntil(
              async () => (await nothingRuns()) && (await processesInPods(pods)).length === 0,
              deadline,
              EVERY_MS,
            );
      if (!isOver) throw notStopped(label, await running());
    },
    async start() {
      await moveFile(kept, manifest);
    },
    isStopped: async () => (await processesOfAny(await commands())).length === 0,
  };
}

/** Of each container: the program and its arguments. */
type Commands = readonly (readonly string[])[];

async function processesOfAny(commands: Commands): Promise<NodeProcess[]> {
  return (await Promise.all(commands.map(processesOf))).flat();
}

/** The pods of processes that have a sandbox's process beside them; some runtimes have none. */
async function sandboxedPods(processes: readonly NodeProcess[]): Promise<ReadonlySet<string>> {
  const own = new Set(processes.map(({ pid }) => pid));
  const pods = new Set<string>();
  for (const pid of own) {
    const pod = await podOf(pid);
    if (pod === undefined) continue;
    if ((await processesInPods(new Set([pod]))).some((one) => !own.has(one))) pods.add(pod);
  }
  return pods;
}

/** Whether nothing runs any more; what does gets the next signal whenever it had its time, the last one again and again. */
function endedBySignals(
  running: () => Promise<NodeProcess[]>,
  signals: readonly [NodeJS.Signals, ...NodeJS.Signals[]],
  { firstMs, politeMs }: { readonly firstMs: number; readonly politeMs: number },
): () => Promise<boolean> {
  let nextMs = performance.now() + firstMs;
  let told = 0;
  return async () => {
    const found = await running();
    const isLast = told >= signals.length - 1;
    if (found.length > 0 && performance.now() >= nextMs) {
      for (const { pid } of found) signalProcess(pid, signals[told] ?? signals[0]);
      if (!isLast) told++;
      // Whatever comes back after the last one is ended at once.
      nextMs = isLast ? 0 : performance.now() + politeMs;
    }
    return found.length === 0;
  };
}

function notStopped(label: string, left: readonly NodeProcess[]): GuardianError {
  const pids = left.map(({ pid }) => pid).join(', ');
  const what =
    left.length > 0 ? `it still runs (process ${pids})` : 'the kubelet keeps its pod, and may start it again';
  return new GuardianError('restore.not-stopped', `${label}: ${what}, though its manifest is away`, {
    hint: "Is the kubelet running? Look at its log and at the runtime's containers (crictl ps, crictl pods).",
    retryable: true,
  });
}

const schema = z.object({
  kind: z.literal('Pod'),
  spec: z.object({
    containers: z.array(
      z.object({ command: z.array(z.string()).nullish(), args: z.array(z.string()).nullish() }),
    ),
  }),
});

async function commandsOf(path: string): Promise<Commands> {
  try {
    const { spec } = schema.parse(parse(await readFile(path, 'utf8'), { maxAliasCount: 10 }));
    const commands = spec.containers.map(({ command, args }) => [...(command ?? []), ...(args ?? [])]);
    if (commands.every((command) => command.length > 0 && command.every((arg) => !arg.includes('$('))))
      return commands;
    throw new Error('it leaves to its image, or to variables, what is run');
  } catch (error) {
    throw new GuardianError(
      'restore.service',
      `the manifest ${path} doesn't tell what is run, so that nobody could see it stopped: ${reasonOf(error)}`,
      {
        hint: 'Write command and arguments out in it, or restore by hand with "etcdguardian restore".',
        cause: error,
      },
    );
  }
}
