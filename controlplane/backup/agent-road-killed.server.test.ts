import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { connectKube } from '../../lib/kubernetes/connect-kube.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { startHttpProxy } from '../../test/harness/http-proxy.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { testRandom, WHOLE_MATRIX } from '../../test/harness/sampling.ts';
import type { ServerProcess } from '../../test/harness/server-process.ts';
import { needs } from '../../test/harness/tools.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { type AgentRoad, startAgentRoad } from './agent-road.fixture.ts';
import { backupController } from './backup-controller.ts';
import { backupRuns } from './backup-runs.ts';
import type { BackupScene, Replica } from './backup-scene.fixture.ts';
import { ownBytes, startControlPlaneProcess } from './control-plane-process.fixture.ts';

const KILLS = WHOLE_MATRIX ? 100 : 1;
const FINISHED = WHOLE_MATRIX ? 1_000 : 100;
/** Attempts that a loaded machine costs, with its Lease, are no failure. */
const LIMITS = { attempts: 8, firstPauseMs: 200, longestPauseMs: 400 };
/** More than the time between two writes of a status. */
const PATIENCE_MS = 6_000;

describe('while an agent works', needs(...KUBE_PROGRAMS, 'etcd 3.6.16', 'versitygw'), () => {
  let road: AgentRoad;
  let scene: BackupScene;
  let agent: ServerProcess;
  const stack = new AsyncDisposableStack();

  before(async () => {
    road = stack.use(await startAgentRoad());
    ({ scene } = road);
    agent = await road.startAgentProcess('state');
  });
  after(() => stack.disposeAsync());

  const start = (name: string, ...flags: readonly string[]): Promise<ServerProcess> => {
    const { agentPort } = road.flags;
    return startControlPlaneProcess(scene, [
      ...['--agent-port', agentPort, '--agent-poll', '500ms', '--pod-name', name],
      ...flags,
    ]);
  };
  const leading = (child: ServerProcess): Promise<string> => child.line(/this replica leads/);
  const statusOf = async (name: string): Promise<NonNullable<EtcdBackup['status']>> =>
    (await scene.get(name)).status ?? {};
  const working = (name: string): Promise<unknown> =>
    eventually(`${name} is at work`, async () => {
      const { step = '' } = await statusOf(name);
      return ['Snapshotting', 'Uploading', 'ValidatingSnapshot'].includes(step);
    });
  /** A store that answers nothing to the `stopAt`th change until `held`; the agent's work stands there. */
  const haltingStore = async (
    name: string,
    stopAt: number,
    held: Promise<unknown>,
    part = '',
  ): Promise<object> => {
    let changes = 0;
    const proxy = await startHttpProxy(scene.s3.endpoint, async ({ method, url }) => {
      const isChange = method !== 'GET' && method !== 'HEAD' && url.includes(part);
      if (isChange && ++changes === stopAt) await held;
      return { kind: 'pass' };
    });
    stack.use(proxy);
    return { ...scene.location(name), endpoint: proxy.endpoint };
  };

  test('a control plane that is killed leaves it to the next one, which joins: there is one backup', async (t) => {
    const random = testRandom('kills on the road of agents');
    let child = await start('leader-0');
    try {
      await leading(child);
      for (let kill = 1; kill <= KILLS; kill += 1) {
        const name = `killed-${kill}`;
        const held = Promise.withResolvers<undefined>();
        const stopAt = random.integer(1, 6);
        const afterMs = random.integer(0, 700);
        const storageLocation = await haltingStore(name, stopAt, held.promise);
        await road.create(name, { storageLocation });
        await delay(afterMs);
        await child.kill();
        child = await start(`leader-${kill}`);
        if (random.integer(0, 2) === 0) await leading(child);
        held.resolve(undefined);
        const { status, metadata } = await scene.ended(name);
        const told = `killed after ${afterMs} ms, store halted at ${stopAt}: ${status?.message ?? ''}`;
        assert.equal(status?.phase, 'Completed', told);
        assert.deepEqual(await scene.manifests(name), [metadata.uid], told);
        t.diagnostic(`${told} (attempts ${status.source?.attempts ?? 0})`);
      }
    } finally {
      await child.kill();
    }
  });

  test('a leader that slept finds another one’s term at the agent, and changes nothing', async () => {
    const held = Promise.withResolvers<undefined>();
    const old = await start('sleeper');
    try {
      await leading(old);
      const storageLocation = await haltingStore('slept', 1, held.promise);
      await road.create('slept', { storageLocation });
      await eventually('it is begun', async () => (await statusOf('slept')).source?.node === 'node-1');
      old.signal('SIGSTOP');
      // The one that slept must not follow in its turn, were this one late with a renewal.
      const next = await start('successor', '--lease-duration', '5s', '--renew-deadline', '4s');
      try {
        await leading(next);
        const client = road.node.client(Number(road.flags.agentPort));
        await eventually(
          'the next one has the right',
          async () => (await client.describe({})).termHolder === 'controlplane/successor',
        );
        const { term } = await client.describe({});
        await assert.rejects(client.cancelTask({ fence: { operation: 'x', term: term - 1n } }), {
          code: 'agent.stale-term',
        });
        old.signal('SIGCONT');
        await old.line(/"event":"leader".*successor/);
        held.resolve(undefined);
        const { status, metadata } = await scene.ended('slept');
        assert.equal(status?.phase, 'Completed', status?.message ?? '');
        assert.deepEqual(await scene.manifests('slept'), [metadata.uid]);
        // It may have been asking for the right when it fell asleep; whoever leads takes it back when it acts.
        await road.create('after', { storageLocation: scene.location('after') });
        assert.equal((await scene.ended('after')).status?.phase, 'Completed');
        assert.equal((await client.describe({})).termHolder, 'controlplane/successor');
      } finally {
        await next.kill();
      }
    } finally {
      await old.kill();
    }
  });

  test('one among many finished ones begins within a second', async (t) => {
    const { kubeconfig } = scene.installation.server;
    using kube = await connectKube({ kubeconfig, env: {}, perSecond: 2_000, burst: 2_000 });
    const spec = { backupMode: 'Full', storageLocation: scene.location('finished') };
    const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
    let made = 0;
    const make = async (): Promise<void> => {
      while (made < FINISHED) {
        const name = `finished-${(made += 1)}`;
        await kube.create(ETCD_BACKUP_RESOURCE, NAMESPACE, { apiVersion, kind, metadata: { name }, spec });
        const reference = { resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name };
        const status = { phase: 'Completed', message: 'x'.repeat(500), completionTime: new Date() };
        await kube.mergePatch({ ...reference, subresource: 'status' }, { status });
      }
    };
    const before = performance.now();
    await Promise.all(Array.from({ length: 16 }, make));
    t.diagnostic(`${FINISHED} made in ${Math.round(performance.now() - before)} ms`);
    const child = await start('busy');
    try {
      await leading(child);
      await road.create('first');
      await scene.ended('first');
      const created = performance.now();
      await road.create('another');
      await eventually('its first step', async () => (await statusOf('another')).phase !== undefined);
      const tookMs = performance.now() - created;
      const rss = Math.round((await ownBytes(child.pid)) / 2 ** 20);
      t.diagnostic(`first step after ${Math.round(tookMs)} ms; ${rss} MiB of its own`);
      assert.equal((await scene.ended('another')).status?.phase, 'Completed');
    } finally {
      await child.kill();
    }
  });

  const lead = (patienceMs?: number): Replica =>
    scene.start({
      controllers: [(tools) => backupController(tools, { runs: backupRuns(1, patienceMs), limits: LIMITS })],
      flags: { ...road.flags, leaseDurationMs: '5s', renewDeadlineMs: '4s', retryPeriodMs: '200ms' },
    });

  test('an agent that is killed goes on when it is back', async () => {
    await using replica = lead();
    assert.deepEqual(
      replica.lines.filter(({ level }) => level === 'error'),
      [],
    );
    const held = Promise.withResolvers<undefined>();
    const storageLocation = await haltingStore('back', 1, held.promise, '/base');
    await road.create('back', { storageLocation });
    await working('back');
    await agent.kill();
    held.resolve(undefined);
    agent = await road.startAgentProcess('state');
    const { status, metadata } = await scene.ended('back');
    assert.equal(status?.phase, 'Completed', status?.message ?? '');
    assert.deepEqual(await scene.manifests('back'), [metadata.uid]);
  });

  const whole = { skip: WHOLE_MATRIX ? false : 'only in the whole matrix' };
  test('an agent that stays away is told of, and given up', whole, async () => {
    await using replica = lead(PATIENCE_MS);
    await road.create('left', {
      storageLocation: await haltingStore('left', 1, new Promise(() => undefined), '/base'),
    });
    await working('left');
    await agent.kill();
    await eventually('it says so', async () => (await statusOf('left')).message?.includes('is away'));
    const left = (await scene.ended('left')).status;
    assert.equal(left?.phase, 'Failed');
    assert.match(left.reason ?? '', /^(agent.unreachable|controlplane.no-agent)$/);
    assert.match(left.message ?? '', /can't be reached: .*ECONN/);
    assert.ok(replica.lines.some(({ event }) => event === 'backup-waits'));
  });
});
