import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import type { Budgets, RestoreOrder } from '../../../lib/restore/cluster/coordinate-restore.ts';
import { startProcess } from '../server-process.ts';
import type { ManyNodes } from './start-nodes.ts';

/** What a coordinator's process is told. */
export interface CoordinatorTask {
  readonly order: RestoreOrder;
  readonly nodes: readonly { readonly node: string; readonly address: string }[];
  readonly holder: string;
  readonly credentials: string;
  readonly budgets: Partial<Budgets>;
  /** So many times as fast its time passes where it waits for agents that are away, a minute and a half otherwise. */
  readonly faster: number;
  /** A file that is cut off once everything is staged. */
  readonly truncated: string | undefined;
}

/** A coordinator in a process of its own, on the host's side of the network. */
export interface Coordinator extends AsyncDisposable {
  /** Once it has ended: undefined where it was killed. */
  readonly ended: Promise<CoordinatorEnd | undefined>;
  kill(): Promise<void>;
  output(): string;
}

export interface CoordinatorEnd {
  /** As `RestoreOutcome` has it. */
  readonly kind: string;
  /** Of the failure; empty where there was none. */
  readonly code: string;
  readonly text: string;
}

/** An etcd that doesn't come up, or a coordinator that is gone, is given up soon. */
export const SOON: Budgets = {
  ...{ stageMs: 20_000, holdMs: 20_000, quiesceMs: 10_000, swapMs: 5_000, startMs: 10_000, verifyMs: 8_000 },
  ...{ commitMs: 5_000, resumeMs: 10_000, rollBackMs: 30_000 },
};

/** No restore is given up because the machine is slow: for those that are disturbed otherwise. */
export const PATIENT: Budgets = {
  ...SOON,
  ...{
    stageMs: 120_000,
    holdMs: 60_000,
    quiesceMs: 60_000,
    swapMs: 30_000,
    startMs: 60_000,
    verifyMs: 60_000,
  },
};

export interface CoordinatorOptions {
  readonly budgets?: Partial<Budgets>;
  readonly truncated?: string | undefined;
  /** Default 6. */
  readonly faster?: number;
}

/** Until an agent halts; a restore that ends before that is told, not waited for. */
export async function haltedWhile(coordinator: Coordinator, halted: Promise<void>): Promise<void> {
  const early = coordinator.ended.then((end) => {
    throw new Error(`it ended too early: ${end?.text ?? 'killed'}`);
  });
  await Promise.race([halted, early]);
}

export async function startCoordinator(
  scene: ManyNodes,
  order: RestoreOrder,
  { budgets = SOON, truncated, faster = 6 }: CoordinatorOptions = {},
): Promise<Coordinator> {
  const names = new Set(order.stage.members?.map(({ node }) => node));
  const task: CoordinatorTask = {
    ...{
      order,
      budgets,
      truncated,
      faster,
      holder: `restore/${randomUUID()}`,
      credentials: scene.controlPlaneFolder,
    },
    nodes: scene.nodes
      .filter(({ name }) => names.has(name))
      .map(({ name, agent }) => ({ node: name, address: agent.client.address })),
  };
  const file = scene.folder.join(`coordinator-${randomUUID()}`);
  await writeFile(file, serialize(task), { mode: 0o600 });
  const fixture = join(import.meta.dirname, 'coordinator-process.fixture.ts');
  const running = await startProcess(process.execPath, [fixture, file]);
  return {
    output: () => running.output(),
    ended: running.exited.then((how) => {
      const [, kind = '', code = '', text = ''] =
        /^outcome (\S+) \[(.*?)\] (.*)$/m.exec(running.output()) ?? [];
      if (kind !== '') return { kind, code, text };
      if (how === 'SIGKILL') return undefined;
      throw new Error(`the coordinator ended (${how}): ${running.output()}`);
    }),
    kill: () => running.kill(),
    [Symbol.asyncDispose]: () => running.kill(),
  };
}
