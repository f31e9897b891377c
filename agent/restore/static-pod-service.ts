import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import { isThere, moveFile } from './move-file.ts';
import type { Deadline, NodeService } from './node-service.ts';
import { type NodeProcess, processesOf, signalProcess } from './processes.ts';
import { waitUntil, waitUntilSteady } from './wait-until.ts';

export interface StaticPodOptions {
  readonly manifest: string;
  /** Outside the manifests' folder: the kubelet runs whatever lies in it. */
  readonly keptIn: string;
  /** How long a process may take its time before it is told again, and then ended. */
  readonly patience?: Patience | undefined;
}

export interface Patience {
  /** For the kubelet to notice that the manifest is gone; it would start again what ends before. */
  readonly noticeMs: number;
  /** After SIGTERM, before the next one. An API server that drains ends at the second. */
  readonly politeMs: number;
  /** Gone for so long means gone for good. */
  readonly steadyMs: number;
}

const PATIENCE: Patience = { noticeMs: 1_500, politeMs: 5_000, steadyMs: 2_000 };

/**
 * A program that the kubelet runs from a file: stopped by moving that file out of its sight. The kubelet takes up to half
 * a minute for the end of an API server; a signal of ours spares most of it.
 */
export function staticPodService({ manifest, keptIn, patience = PATIENCE }: StaticPodOptions): NodeService {
  const label = `static pod ${manifest}`;
  const kept = join(keptIn, basename(manifest));
  /** Undefined where neither place has it. */
  const commands = async (): Promise<readonly (readonly string[])[]> => {
    const path = (await isThere(manifest)) ? manifest : kept;
    return await commandsOf(path);
  };
  const running = async (): Promise<NodeProcess[]> => {
    const found: NodeProcess[] = [];
    for (const command of await commands()) found.push(...(await processesOf(command)));
    return found;
  };
  const gone = async (): Promise<boolean> => (await running()).length === 0;
  return {
    label,
    async stop(deadline) {
      await commands();
      await moveFile(manifest, kept);
      await end(running, gone, patience, deadline);
      if (await waitUntilSteady(gone, patience.steadyMs, deadline)) return;
      const pids = (await running()).map(({ pid }) => pid);
      throw new GuardianError(
        'restore.not-stopped',
        `${label} is still running (process ${pids.join(', ') || 'unknown'}), though its manifest is away`,
        {
          hint: "Is the kubelet running? Look at its log and at the runtime's containers (crictl ps).",
          retryable: true,
        },
      );
    },
    async start() {
      await moveFile(kept, manifest);
    },
    isStopped: gone,
  };
}

async function end(
  running: () => Promise<NodeProcess[]>,
  gone: () => Promise<boolean>,
  { noticeMs, politeMs }: Patience,
  deadline: Deadline,
): Promise<void> {
  if (await waitUntil(gone, within(deadline, noticeMs))) return;
  for (const signal of ['SIGTERM', 'SIGTERM', 'SIGKILL'] as const) {
    for (const { pid } of await running()) signalProcess(pid, signal);
    if (await waitUntil(gone, within(deadline, politeMs))) return;
  }
}

function within(deadline: Deadline, ms: number): Deadline {
  const end = performance.now() + ms;
  return {
    signal: deadline.signal,
    leftMs: () => Math.min(deadline.leftMs(), Math.max(0, end - performance.now())),
  };
}

const schema = z.object({
  kind: z.literal('Pod'),
  spec: z.object({
    containers: z.array(
      z.object({ command: z.array(z.string()).nullish(), args: z.array(z.string()).nullish() }),
    ),
  }),
});

async function commandsOf(path: string): Promise<readonly (readonly string[])[]> {
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
