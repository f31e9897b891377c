import { addApiServers, type NodeApiServer, untilReady } from '../test/harness/many-nodes/add-api-servers.ts';
import { startCoordinator } from '../test/harness/many-nodes/coordinator.ts';
import { type ManyNodes, startManyNodes } from '../test/harness/many-nodes/start-nodes.ts';
import { ratioLine, say } from './report.ts';

/** Small and large: `BENCH_BYTES` takes the place of both. */
const SIZES = (process.env.BENCH_BYTES ?? '200000000,2000000000').split(',').map(Number);
const MOST_IN_MEMORY = 500_000_000;
const GOAL_SECONDS = 20;
const PATIENT = {
  ...{ stageMs: 3_600_000, quiesceMs: 150_000, swapMs: 60_000, startMs: 180_000, verifyMs: 300_000 },
  ...{ commitMs: 60_000, resumeMs: 120_000, rollBackMs: 300_000 },
};

/**
 * How long a control plane of three nodes is away while it is restored, from the first API server that doesn't answer until
 * all are ready, beside the same programs stopped and started with no restore between.
 */
export async function benchRestoreDowntime(): Promise<void> {
  say('\nDowntime of a restore of three nodes, beside a stop and start of their etcd and kube-apiserver');
  for (const bytes of SIZES) {
    // Both the old and the new data of three nodes, and the backup.
    const on = bytes > MOST_IN_MEMORY ? 'disk' : 'memory';
    await using scene = await startManyNodes({
      ...{ version: '3.6.16', layouts: ['plain', 'plain', 'plain'], patience: 'kubelet', on },
      etcdArgs: ['--quota-backend-bytes=17179869184'],
    });
    const revision = await fill(scene, bytes);
    await using stack = new AsyncDisposableStack();
    const servers = await addApiServers(scene, stack);
    say(
      `  ${(bytes / 1e9).toFixed(1)} GB, revision ${revision}, on ${on === 'disk' ? 'the disk' : 'a memory disk'}`,
    );

    const peer = await restarted(scene, servers);
    say(
      `  stop and start                 away ${peer.awaySeconds.toFixed(1)} s (etcd alone ${peer.etcdSeconds.toFixed(1)} s)`,
    );
    const { point } = await scene.backUp();
    const order = scene.order(point, revision + 1_000_000_000n);
    await using coordinator = await startCoordinator(scene, order, { budgets: PATIENT });
    const { awaySeconds, steps } = await awayWhile(servers, coordinator.ended, () => coordinator.output());
    const end = await coordinator.ended;
    if (end?.kind !== 'restored')
      throw new Error(`the restore ended ${end?.kind ?? 'early'}: ${end?.text ?? ''}`);
    say(`  restore                        away ${awaySeconds.toFixed(1)} s (${steps})`);
    say(
      ratioLine('downtime of a restore / of a restart', awaySeconds / peer.awaySeconds, 'told, not judged'),
    );
    say(ratioLine('seconds beyond a restart', awaySeconds - peer.awaySeconds, `≤ ${GOAL_SECONDS}`));
  }
}

/** Where no API server looks: what it costs them to read objects is the same with a restore and without. */
async function fill({ nodes: [node] }: ManyNodes, bytes: number): Promise<bigint> {
  let revision = 0n;
  const value = 'x'.repeat(VALUE_BYTES);
  for (let number = 0; number < bytes / VALUE_BYTES; number++)
    revision = (await node?.etcd.put(`/filler/${number}`, value)) ?? revision;
  return revision;
}

const VALUE_BYTES = 1_000_000;

/** All API servers and all members end at once, then members start, then API servers, as a restore has them. */
async function restarted(
  scene: ManyNodes,
  servers: readonly NodeApiServer[],
): Promise<{ awaySeconds: number; etcdSeconds: number }> {
  const { nodes } = scene;
  const began = performance.now();
  for (const name of ['kube-apiserver.yaml', 'etcd.yaml'])
    await Promise.all(
      nodes.map(async ({ pods }) => {
        pods.breakPod(name, true);
        await pods.kill(name);
      }),
    );
  const down = performance.now();
  for (const { pods } of nodes) pods.breakPod('etcd.yaml', false);
  await scene.serving();
  const etcdSeconds = (performance.now() - down) / 1_000;
  for (const { pods } of nodes) pods.breakPod('kube-apiserver.yaml', false);
  await untilReady(servers);
  return { awaySeconds: (performance.now() - began) / 1_000, etcdSeconds };
}

/** From the first answer that is missing until all are ready again and the work has ended. */
async function awayWhile(
  servers: readonly NodeApiServer[],
  work: Promise<unknown>,
  told: () => string,
): Promise<{ awaySeconds: number; steps: string }> {
  const state = { working: true };
  void work.finally(() => {
    state.working = false;
  });
  let since: number | undefined;
  const marks: string[] = [];
  let lines = 0;
  for (;;) {
    const ready = await Promise.all(servers.map((server) => server.isReady()));
    const all = ready.every(Boolean);
    if (!all) since ??= performance.now();
    const steps = told()
      .split('\n')
      .filter((line) => line.startsWith('step '));
    const step = steps.at(-1)?.slice('step '.length) ?? '';
    if (since !== undefined && steps.length > lines && !marks.at(-1)?.startsWith(`${step} `))
      marks.push(`${step} at ${((performance.now() - since) / 1_000).toFixed(1)} s`);
    lines = steps.length;
    if (!state.working && all && since !== undefined)
      return { awaySeconds: (performance.now() - since) / 1_000, steps: marks.join(', ') };
    if (!state.working && since === undefined) return { awaySeconds: 0, steps: 'never seen away' };
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

const LOOK_MS = 50;
