import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RunningAgent } from '../../agent/agent-scene.fixture.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { needs } from '../../test/harness/tools.ts';
import { type AgentRoad, startAgentRoad } from '../backup/agent-road.fixture.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { hourlyFarFrom } from './far-slots.fixture.ts';

const HOUR_MS = 3_600_000;
const REFERENCE = { resource: ETCD_BACKUP_SCHEDULE_RESOURCE, namespace: NAMESPACE, name: 'steady' };

describe('a schedule of increments', needs(...KUBE_PROGRAMS, 'etcd 3.6.16', 'versitygw'), () => {
  let road: AgentRoad;
  let agent: RunningAgent;
  let aheadMs = 0;
  const stack = new AsyncDisposableStack();

  before(async () => {
    road = stack.use(await startAgentRoad());
    agent = await road.node.start('state', road.env);
    stack.use(road.scene.start({ clock: () => new Date(Date.now() + aheadMs), flags: road.flags }));
  });
  after(() => stack.disposeAsync());

  const patch = (change: object): Promise<unknown> =>
    road.scene.installation.kube.mergePatch(REFERENCE, change);
  const statusOf = async (): Promise<NonNullable<EtcdBackupSchedule['status']>> =>
    (await road.scene.installation.kube.get<EtcdBackupSchedule>(REFERENCE)).status ?? {};
  const captures = async () =>
    (await road.node.client(agent.port).describe({})).captures.filter(({ running }) => running);
  const capturing = async (): Promise<boolean> => {
    const condition = (await statusOf()).conditions?.find(({ type }) => type === 'Capturing');
    return condition?.status === 'True' && (await captures()).length === 1;
  };
  /** The clock goes on by an hour; resolves to the run that this began, when it completed. */
  const nextRun = async (count: number): Promise<EtcdBackup> => {
    aheadMs += HOUR_MS;
    await patch({ metadata: { annotations: { looked: `${aheadMs}` } } });
    return eventually(`run ${count} completed`, async () => {
      const { items } = await road.scene.installation.kube.list<EtcdBackup>(ETCD_BACKUP_RESOURCE, {
        ...{ namespace: NAMESPACE, labelSelector: 'etcdguardian.io/schedule=steady' },
      });
      const done = items.filter(({ status }) => status?.phase === 'Completed');
      assert.equal(
        items.some(({ status }) => status?.phase === 'Failed'),
        false,
        JSON.stringify(items.map(({ status }) => status?.message)),
      );
      return done.length === count
        ? done.toSorted((a, b) => (a.metadata.name < b.metadata.name ? 1 : -1))[0]
        : undefined;
    });
  };

  test('has its changes captured by the agent, which its status tells', async () => {
    const { scene } = road;
    await scene.installation.kube.create(ETCD_BACKUP_SCHEDULE_RESOURCE, NAMESPACE, {
      ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackupSchedule' },
      metadata: { name: 'steady' },
      spec: {
        schedule: hourlyFarFrom(new Date()),
        backupTemplate: { spec: { backupMode: 'Incremental', storageLocation: scene.location('steady') } },
      },
    });
    await eventually('it captures', capturing);
    const { capture, conditions } = await statusOf();
    assert.deepEqual([capture?.node, capture?.gaps], ['node-1', 0]);
    assert.match(conditions?.find(({ type }) => type === 'Capturing')?.message ?? '', /agent of node-1/);
  });

  test('makes restore points up to what was written, again after the agent was restarted', async () => {
    await road.node.etcd.etcdctl('put', 'a', '1');
    const first = await nextRun(1);
    const { revision } = await road.node.etcd.status();
    assert.deepEqual(
      [first.status?.restorePoint?.revision, first.status?.source?.node],
      [Number(revision), 'node-1'],
    );
    await agent.stop();
    agent = await road.node.start('state', road.env);
    await road.node.etcd.etcdctl('put', 'b', '2');
    await eventually('it captures again', capturing);
    const second = await nextRun(2);
    assert.equal(second.status?.restorePoint?.revision, Number(revision) + 1);
    assert.equal(second.status.effectiveMode, 'Incremental');
    assert.equal(second.status.restorePoint.chain, first.status?.restorePoint?.chain);
  });

  test('captures nothing while suspended, and goes on after', async () => {
    await patch({ spec: { suspend: true } });
    await eventually('it was stopped', async () => (await captures()).length === 0);
    const told = await eventually('it says so', async () =>
      (await statusOf()).conditions?.find(({ type, status }) => type === 'Capturing' && status === 'False'),
    );
    assert.equal(told.reason, 'Suspended');
    await patch({ spec: { suspend: false } });
    await eventually('it captures again', capturing);
  });
});
