import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { hasCode } from '../../lib/guardian-error.ts';
import { connectKube } from '../../lib/kubernetes/connect-kube.ts';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { startReflector } from '../../lib/kubernetes/reflector.ts';
import { eventually } from '../harness/eventually.ts';
import { DEFAULT_KUBERNETES } from '../harness/kube-apiserver.ts';
import { addApiServers, type NodeApiServer, untilReady } from '../harness/many-nodes/add-api-servers.ts';
import { startCoordinator } from '../harness/many-nodes/coordinator.ts';
import { KEY, writeNewer } from '../harness/many-nodes/disturb-restore.ts';
import { judgeMembers, untilOver } from '../harness/many-nodes/judge-members.ts';
import { needsNodes } from '../harness/many-nodes/nodes-network.ts';
import { type ManyNodes, startManyNodes } from '../harness/many-nodes/start-nodes.ts';
import { testRandom, WHOLE_MATRIX } from '../harness/sampling.ts';
import { ETCD_VERSIONS } from '../harness/tools.ts';

const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps' };
const COLLECTION = '/api/v1/namespaces/default/configmaps';
/** Nothing is given up here because the machine is slow. */
const PATIENT = {
  ...{
    stageMs: 300_000,
    holdMs: 180_000,
    quiesceMs: 120_000,
    swapMs: 60_000,
    startMs: 120_000,
    verifyMs: 120_000,
  },
  ...{ commitMs: 60_000, resumeMs: 120_000, rollBackMs: 180_000 },
};
const VERSIONS = ETCD_VERSIONS.filter((version) => !version.startsWith('3.4.'));

for (const version of WHOLE_MATRIX ? VERSIONS : [testRandom('control plane of many nodes').pick(VERSIONS)])
  describe(
    `a control plane of three nodes is restored as one (etcd ${version})`,
    needsNodes(`etcd ${version}`, `kube-apiserver ${DEFAULT_KUBERNETES}`, 'versitygw'),
    () => {
      let scene: ManyNodes;
      let servers: readonly NodeApiServer[];
      const stack = new AsyncDisposableStack();
      before(async () => {
        scene = stack.use(await startManyNodes({ version }));
        servers = await addApiServers(scene, stack);
      });
      after(() => stack.disposeAsync());

      test('while writers and watchers run: all serve the data of the backup, and no watcher is left behind', async () => {
        await using watchers = await watchAll(servers);
        await writeConfig(servers, 'wanted', 'precious');
        await scene.nodes[0]?.etcd.put(KEY, 'of the backup');
        const backup = await scene.backUp();
        await writeConfig(servers, 'newer', 'not in the backup');
        await watchers.see('added newer');
        const known = await writeNewer(scene, 'of before the restore');
        await using writers = keepWritingConfigs(servers);

        const order = scene.order(backup.point, known.revision + 1_000_000n);
        await using coordinator = await startCoordinator(scene, order, { budgets: PATIENT });
        const end = await coordinator.ended;
        assert.equal(end?.kind, 'restored', end?.text ?? 'killed');
        await untilOver(scene.nodes, order.operation);
        await untilReady(servers);
        assert.equal(await judgeMembers(scene, known), 'restored');
        for (const server of servers) {
          assert.equal(await readConfig(server, 'wanted'), 'precious');
          assert.equal(await readConfig(server, 'newer'), undefined);
        }
        // Each watcher, at the API server that it had all along: what is gone is told, and so is what comes.
        await watchers.see('deleted newer');
        await writeConfig(servers, 'after', 'written behind the restore');
        await watchers.see('added after');
        // A client of etcd itself that goes on where it was is told to begin anew, at every member.
        for (const { etcd } of scene.nodes)
          await assert.rejects(firstEvent(etcd.client, known.revision), (error) =>
            hasCode(error, 'etcd.compacted'),
          );
        const written = writers.done();
        await eventually('writers go on', () => writers.done() > written + 10);
        await writers.stop();
      });

      test('that goes back, as one etcd does not come up on the new data: everything is as it was', async () => {
        await using watchers = await watchAll(servers);
        const backup = await scene.backUp();
        await writeConfig(servers, 'latest', 'must survive');
        const known = await writeNewer(scene, 'of before the way back');
        const order = scene.order(backup.point, known.revision + 1_000_000n);
        const [, second] = scene.nodes;
        assert.ok(second !== undefined);
        const staged = `${second.dirs.dataDir}/.etcdguardian/${order.operation}/staged/member/snap/db`;
        await using coordinator = await startCoordinator(scene, order, {
          budgets: { ...PATIENT, startMs: 6_000 },
          truncated: second.place.path(staged),
        });
        const end = await coordinator.ended;
        assert.equal(end?.kind, 'rolled-back', end?.text ?? 'killed');
        assert.equal(end.code, 'restore.not-serving');
        const states = await untilOver(scene.nodes, order.operation);
        assert.deepEqual(states, ['RolledBack', 'RolledBack', 'RolledBack']);
        await untilReady(servers);
        assert.equal(await judgeMembers(scene, known), 'as before');
        for (const server of servers) assert.equal(await readConfig(server, 'latest'), 'must survive');
        await writeConfig(servers, 'behind', 'written behind the way back');
        await watchers.see('added behind');
        assert.ok(!watchers.seen().includes('deleted latest'));
      });
    },
  );

interface Watchers extends AsyncDisposable {
  /** Waits until all of them have seen it. */
  see(change: string): Promise<void>;
  /** What any of them has seen. */
  seen(): readonly string[];
}

/** A list and a watch at each API server, as clients of Kubernetes have them. */
async function watchAll(servers: readonly NodeApiServer[]): Promise<Watchers> {
  await using starting = new AsyncDisposableStack();
  const ending = new AbortController();
  const all = await Promise.all(
    servers.map(async ({ kubeconfig }) => {
      const client = starting.use(await connectKube({ kubeconfig, env: {} }));
      const seen: string[] = [];
      const reflector = startReflector<KubeObject>({
        ...{ client, resource: CONFIG_MAPS, namespace: 'default', signal: ending.signal },
        onChange: (key, change) => seen.push(`${change} ${key.split('/')[1] ?? ''}`),
      });
      await reflector.synced;
      return { seen, reflector };
    }),
  );
  const stack = starting.move();
  return {
    see: async (change) => {
      for (const [at, { seen }] of all.entries())
        await eventually(
          `the watcher at node-${at + 1} sees: ${change}`,
          () => seen.includes(change),
          180_000,
        );
    },
    seen: () => all.flatMap(({ seen }) => seen),
    async [Symbol.asyncDispose]() {
      ending.abort();
      await Promise.all(all.map(({ reflector }) => reflector.ended));
      await stack.disposeAsync();
    },
  };
}

async function writeConfig([server]: readonly NodeApiServer[], name: string, value: string): Promise<void> {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } };
  await eventually(`${name} is written`, async () => {
    const answer = await server?.request('POST', COLLECTION, { body: object });
    // 409: it was written, and nobody heard.
    return answer?.status === 201 || answer?.status === 409;
  });
}

async function readConfig(server: NodeApiServer, name: string): Promise<string | undefined> {
  const { status, body } = await eventually(`${server.node.name} tells of ${name}`, async () => {
    const answer = await server.request('GET', `${COLLECTION}/${name}`);
    return [200, 404].includes(answer.status) && answer;
  });
  return status === 404 ? undefined : (body as { data: { value: string } }).data.value;
}

/** One writer for each API server; while none answers, it tries again. */
function keepWritingConfigs(
  servers: readonly NodeApiServer[],
): AsyncDisposable & { done(): number; stop(): Promise<void> } {
  let going = true;
  let done = 0;
  const write = async (server: NodeApiServer, at: number): Promise<void> => {
    for (let number = 0; going; number++) {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `busy-${at}-${number}` } };
      const answer = await server.request('POST', COLLECTION, { body }).catch(() => undefined);
      if (answer?.status === 201) done += 1;
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const all = Promise.all(servers.map(write));
  const stop = async (): Promise<void> => {
    going = false;
    await all;
  };
  return { done: () => done, stop, [Symbol.asyncDispose]: stop };
}

async function firstEvent(
  client: ManyNodes['nodes'][number]['etcd']['client'],
  startRevision: bigint,
): Promise<void> {
  for await (const response of client.watch({ key: KEY, startRevision }))
    if (response.events.length > 0) return;
}
