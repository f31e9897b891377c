import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { RunningAgent } from '../../agent/agent-scene.fixture.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { HOUR_MS, later } from '../../lib/pki/installation.fixture.ts';
import { base64 } from '../../test/harness/etcd-gateway.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { startHttpProxy } from '../../test/harness/http-proxy.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { needs } from '../../test/harness/tools.ts';
import { startToxiproxy } from '../../test/harness/toxiproxy.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { type AgentRoad, startAgentRoad } from './agent-road.fixture.ts';
import { backupController, CANCEL_ANNOTATION } from './backup-controller.ts';
import { backupRuns } from './backup-runs.ts';
import type { BackupScene, Replica } from './backup-scene.fixture.ts';

/** Whoever waits for attempts doesn't wait long. */
const LIMITS = { attempts: 3, firstPauseMs: 200, longestPauseMs: 400 };

describe(
  'an EtcdBackup by an agent',
  needs(...KUBE_PROGRAMS, 'etcd 3.6.16', 'versitygw', 'toxiproxy-server'),
  () => {
    let road: AgentRoad;
    let scene: BackupScene;
    let agent: RunningAgent;
    const stack = new AsyncDisposableStack();

    const startAgent = (changes: Record<string, string> = {}): Promise<RunningAgent> =>
      road.node.start('state', { ...road.env, ETCDGUARDIAN_HOOKS: 'true', ...changes }, { hookRunner: [] });
    const lead = (changes: Parameters<BackupScene['start']>[0] = {}): Replica =>
      scene.start({
        controllers: [(tools) => backupController(tools, { runs: backupRuns(1), limits: LIMITS })],
        ...changes,
        flags: { ...road.flags, hooks: 'true', ...changes.flags },
      });
    const failed = async (name: string): Promise<NonNullable<EtcdBackup['status']>> => {
      const { status } = await scene.ended(name);
      assert.equal(status?.phase, 'Failed', status?.message ?? '');
      return status;
    };
    const completed = async (name: string): Promise<NonNullable<EtcdBackup['status']>> => {
      const { status } = await scene.ended(name);
      assert.equal(status?.phase, 'Completed', status?.message ?? '');
      return status;
    };
    const statusOf = async (name: string): Promise<NonNullable<EtcdBackup['status']>> =>
      (await scene.get(name)).status ?? {};
    /** Holds what is stored of the base until `held` says so. */
    const slowStore = async (name: string, held: Promise<unknown>): Promise<object> => {
      const proxy = await startHttpProxy(scene.s3.endpoint, async ({ method, url }) => {
        if (method !== 'GET' && url.includes('/base')) await held;
        return { kind: 'pass' };
      });
      stack.use(proxy);
      return { ...scene.location(name), endpoint: proxy.endpoint };
    };

    before(async () => {
      road = stack.use(await startAgentRoad());
      ({ scene } = road);
      const random = testRandom('an EtcdBackup by an agent');
      for (let put = 0; put < 8; put += 1)
        await road.node.etcd.etcdctl('put', `/registry/noise/${put}`, base64(random.bytes(90_000)));
      agent = await startAgent();
    });
    after(() => stack.disposeAsync());

    describe('led by one that never changes', () => {
      let replica: Replica;
      before(() => {
        replica = lead();
      });
      after(() => replica[Symbol.asyncDispose]());

      test('tells how it does, and at the end everything that is to be known', async () => {
        const held = Promise.withResolvers<undefined>();
        const storageLocation = await slowStore('full', held.promise);
        const validation = { enabled: true, consistencyCheck: true };
        await road.create('full', { storageLocation, validation });
        const running = await eventually('progress', async () => {
          const status = await statusOf('full');
          return (status.progress?.doneBytes ?? 0) > 0 ? status : undefined;
        });
        assert.deepEqual([running.phase, running.source?.node], ['Running', 'node-1']);
        held.resolve(undefined);
        const status = await completed('full');
        const { revision, memberId } = await road.node.etcd.status();
        const { metadata } = await scene.get('full');
        assert.deepEqual(
          [status.source?.node, status.source?.member, status.source?.operation, status.source?.attempts],
          ['node-1', memberId.toString(16), metadata.uid, 1],
        );
        assert.equal(status.source?.etcdVersion, '3.6.16');
        assert.deepEqual([status.etcdRevision, status.effectiveMode], [Number(revision), 'Full']);
        assert.deepEqual(
          [status.validationResult?.verdict, status.validationResult?.proof],
          ['Sound', 'LiveHash'],
        );
        assert.equal(status.restorePoint?.cluster, scene.installation.cluster);
        assert.equal(status.restorePoint.revision, Number(revision));
        assert.ok((status.snapshotSize ?? 0) > 720_000 && (status.storedSize ?? 0) > 0);
        assert.match(status.snapshotLocation ?? '', /^s3:\/\/backups\/full\/clusters\//);
        assert.deepEqual([status.step, status.progress], [undefined, undefined]);
        assert.deepEqual(await scene.manifests('full'), [metadata.uid]);
      });

      test('ends when it is cancelled, at the agent too, and leaves no backup', async () => {
        const held = Promise.withResolvers<undefined>();
        const storageLocation = await slowStore('cancelled', held.promise);
        const file = road.node.folder.join('cancelled-hooks');
        const exec = { command: ['touch', file] };
        const hooks = { postBackup: [{ name: 'go-on', type: 'Exec', exec, timeoutSeconds: 20 }] };
        await road.create('cancelled', { storageLocation, hooks });
        await eventually(
          'it is at work',
          async () => ((await statusOf('cancelled')).progress?.doneBytes ?? 0) > 0,
        );
        const reference = { resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name: 'cancelled' };
        await scene.installation.kube.mergePatch(reference, {
          metadata: { annotations: { [CANCEL_ANNOTATION]: 'not now' } },
        });
        const status = await failed('cancelled');
        assert.equal(status.reason, 'controlplane.cancelled');
        assert.match(status.message ?? '', /not now/);
        const { uid = '' } = (await scene.get('cancelled')).metadata;
        await eventually('the agent has ended it', () =>
          agent.lines.some((line) => line.includes(uid) && line.includes('failed')),
        );
        held.resolve(undefined);
        assert.deepEqual(await scene.manifests('cancelled'), []);
        assert.equal(await readFile(file, 'utf8'), '', 'what was stopped before goes on');
      });

      test('runs its hooks before and after, in their order', async () => {
        const file = road.node.folder.join('hooks-ran');
        const hook = (name: string, end = 'true'): object => ({
          ...{ name, type: 'Exec', timeoutSeconds: 20 },
          exec: { command: ['sh', '-c', `echo ${name} >> ${file}; ${end}`] },
        });
        const ran = async (): Promise<string[]> => (await readFile(file, 'utf8')).trim().split('\n');
        const hooks = { preBackup: [hook('one'), hook('two')], postBackup: [hook('three')] };
        await road.create('hooked', { hooks });
        await completed('hooked');
        assert.deepEqual(await ran(), ['one', 'two', 'three']);

        // What was stopped before is started again after, also when nothing was backed up.
        const stopped = { ...hooks, preBackup: [hook('four', 'echo why >&2; exit 3'), hook('never')] };
        await road.create('unready', { hooks: stopped });
        const { reason, message } = await failed('unready');
        assert.equal(reason, 'controlplane.hook-failed');
        assert.match(message ?? '', /four failed on node-1: it ended with status 3: why/);
        assert.deepEqual(await ran(), ['one', 'two', 'three', 'four', 'three']);
        assert.deepEqual(await scene.manifests('unready'), []);

        await road.create('afterwards', { hooks: { postBackup: [hook('five', 'exit 4'), hook('six')] } });
        const { conditions } = await completed('afterwards');
        const told = conditions?.find(({ type }) => type === 'HooksCompleted');
        assert.deepEqual([told?.status, told?.reason], ['False', 'PostBackupFailed']);
        assert.match(told?.message ?? '', /five on node-1: it ended with status 4/);
        assert.deepEqual((await ran()).slice(-2), ['five', 'six']);
      });

      test('of an etcd that is full completes like any other', async () => {
        const { etcd } = road.node;
        await etcd.restart({ args: ['--quota-backend-bytes=1000000'] });
        await assert.rejects(etcd.etcdctl('put', 'more', 'x'), /space exceeded/);
        assert.match(await etcd.etcdctl('alarm', 'list'), /NOSPACE/);
        await road.create('nospace', { validation: { enabled: true, consistencyCheck: true } });
        const status = await completed('nospace');
        assert.equal(status.validationResult?.verdict, 'Sound');
        await etcd.restart();
        await etcd.etcdctl('alarm', 'disarm');
      });

      test('waits for its only agent, says why, and fails when it stays away', async () => {
        await agent.stop();
        await road.create('alone');
        const status = await failed('alone');
        assert.equal(status.reason, 'controlplane.no-agent');
        assert.match(status.message ?? '', /node-1: .*can't be reached: .*ECONN(REFUSED|RESET)/);
        assert.equal(status.source?.attempts, 3);
        agent = await startAgent();
      });

      test('says that an agent’s certificate has ended, and goes on when it is renewed', async () => {
        await agent.stop();
        await road.certify({ now: later(new Date(), -5_000), lifeMs: 1_000 });
        agent = await startAgent();
        await road.create('expired');
        const { reason, message } = await failed('expired');
        assert.equal(reason, 'controlplane.no-agent');
        assert.match(message ?? '', /node-1: .*certificate.*expired/);
        await agent.stop();
        await road.certify();
        agent = await startAgent();
        await road.create('renewed');
        await completed('renewed');
      });

      test('says where hooks are turned off: on the node', async () => {
        await agent.stop();
        agent = await startAgent({ ETCDGUARDIAN_HOOKS: 'false' });
        const exec = { command: ['true'] };
        await road.create('node-off', {
          hooks: { preBackup: [{ name: 'a', type: 'Exec', exec, timeoutSeconds: 5 }] },
        });
        const { reason, message } = await failed('node-off');
        assert.equal(reason, 'controlplane.hook-failed');
        assert.match(message ?? '', /hooks.*node-1/i);
      });
    });

    test('completes at the first try behind a network that is slow', async () => {
      await using toxiproxy = await startToxiproxy();
      const proxy = await toxiproxy.createProxy(`127.0.0.1:${road.flags.agentPort}`);
      for (const direction of ['upstream', 'downstream'] as const)
        await proxy.addToxic({ type: 'latency', latencyMs: 600, jitterMs: 300, direction });
      await using replica = lead({ flags: { agentPort: proxy.address.replace(/.*:/, '') } });
      await road.create('far-away');
      const { source } = await completed('far-away');
      assert.deepEqual([source?.node, source?.attempts], ['node-1', 1], String(replica.lines.length));
    });

    for (const [where, aheadMs] of [
      ['ahead', HOUR_MS],
      ['behind', -HOUR_MS],
    ] as const) {
      test(`completes where the control plane’s clock is an hour ${where}, and hooks are off`, async () => {
        const clock = (): Date => later(new Date(), aheadMs);
        await using replica = lead({ clock, flags: { hooks: 'false' } });
        await road.create(`clock-${where}`);
        await completed(`clock-${where}`);
        assert.ok(replica.lines.some(({ message }) => /^the clock of node-1 is 3[56]\d\d s/.test(message)));
        const exec = { command: ['true'] };
        const hooks = { preBackup: [{ name: 'a', type: 'Exec', exec, timeoutSeconds: 5 }] };
        await road.create(`off-${where}`, { hooks });
        assert.equal((await failed(`off-${where}`)).reason, 'controlplane.hooks-off');
      });
    }
  },
);
