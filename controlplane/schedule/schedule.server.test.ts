import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../../test/harness/etcd-content.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { needs } from '../../test/harness/tools.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { Condition } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { hasCode } from '../../lib/guardian-error.ts';
import type { KubeResource } from '../../lib/kubernetes/kube-client.ts';
import { mayUser } from '../../lib/kubernetes/access-review.ts';
import { type BackupScene, startBackupScene } from '../backup/backup-scene.fixture.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { dailyFarFrom, hourlyFarFrom } from './far-slots.fixture.ts';

const HOUR_MS = 3_600_000;

function admission(plural: string): KubeResource {
  return { group: 'admissionregistration.k8s.io', version: 'v1', plural };
}

function scheduled({ status }: EtcdBackupSchedule): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === 'Scheduled');
}

describe('a schedule', needs(...KUBE_PROGRAMS, 'versitygw'), () => {
  let scene: BackupScene;
  let aheadMs = 0;
  const stack = new AsyncDisposableStack();
  const now = (): Date => new Date(Date.now() + aheadMs);

  before(async () => {
    scene = stack.use(await startBackupScene());
    await fillWithNoise(scene.etcd, 1, testRandom('a schedule'));
    stack.use(scene.start({ clock: now }));
  });
  after(() => stack.disposeAsync());

  const reference = (name: string) => ({
    resource: ETCD_BACKUP_SCHEDULE_RESOURCE,
    namespace: NAMESPACE,
    name,
  });
  const create = async (name: string, spec: object, template: object = {}): Promise<void> => {
    await scene.installation.kube.create(ETCD_BACKUP_SCHEDULE_RESOURCE, NAMESPACE, {
      ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackupSchedule', metadata: { name } },
      spec: {
        schedule: hourlyFarFrom(now()),
        ...spec,
        backupTemplate: {
          metadata: { labels: { tier: 'test' } },
          spec: {
            ...{ backupMode: 'Full', etcdEndpoints: [scene.etcd.endpoint] },
            ...{ storageLocation: scene.location(name), ...template },
          },
        },
      },
    });
  };
  const get = (name: string): Promise<EtcdBackupSchedule> =>
    scene.installation.kube.get<EtcdBackupSchedule>(reference(name));
  /** The clock goes on, and the schedule is looked at. */
  const later = async (name: string, ms: number): Promise<void> => {
    aheadMs += ms;
    await scene.installation.kube.mergePatch(reference(name), {
      metadata: { annotations: { looked: `${aheadMs}` } },
    });
  };
  const runs = async (name: string): Promise<EtcdBackup[]> => {
    const labelSelector = `etcdguardian.io/schedule=${name}`;
    const { items } = await scene.installation.kube.list<EtcdBackup>(ETCD_BACKUP_RESOURCE, {
      ...{ namespace: NAMESPACE, labelSelector },
    });
    return [...items].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  };
  const completed = (name: string, count: number): Promise<EtcdBackup[]> =>
    eventually(`${count} runs of ${name} completed`, async () => {
      const all = await runs(name);
      const done = all.filter(({ status }) => status?.phase === 'Completed');
      return done.length === count && all.length === count ? done : undefined;
    });

  /** From now on the API server takes none; resolves to what lifts that. */
  const refuseRunsOf = async (name: string): Promise<() => Promise<void>> => {
    const { kube } = scene.installation;
    const policy = { resource: admission('validatingadmissionpolicies'), name };
    const binding = { resource: admission('validatingadmissionpolicybindings'), name };
    const [apiGroups, apiVersions, resources] = [['etcdguardian.io'], ['*'], ['etcdbackups']];
    await kube.create(policy.resource, undefined, {
      ...{
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name },
      },
      spec: {
        matchConstraints: { resourceRules: [{ apiGroups, apiVersions, resources, operations: ['CREATE'] }] },
        validations: [
          {
            expression: `!object.metadata.name.startsWith('${name}-')`,
            message: 'no runs today',
            reason: 'Forbidden',
          },
        ],
      },
    });
    await kube.create(binding.resource, undefined, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      ...{ kind: 'ValidatingAdmissionPolicyBinding', metadata: { name } },
      spec: { policyName: name, validationActions: ['Deny'] },
    });
    const probe = {
      ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup' },
      metadata: { name: `${name}-probe` },
      spec: { backupMode: 'Full', storageLocation: scene.location() },
    };
    await eventually('runs are refused', () =>
      kube.create(ETCD_BACKUP_RESOURCE, NAMESPACE, probe, { dryRun: true }).then(
        () => false,
        (error: unknown) => hasCode(error, 'kubernetes.forbidden'),
      ),
    );
    return async () => {
      await kube.delete(binding);
      await kube.delete(policy);
    };
  };

  test('begins a run for each slot, owned and named by it, and tells which was the last good one', async () => {
    await create('hourly', { aiOptimization: { enabled: true } });
    await eventually(
      'it is scheduled',
      async () => (await get('hourly')).status?.nextBackupTime !== undefined,
    );
    assert.deepEqual(await runs('hourly'), []);
    await later('hourly', HOUR_MS);
    const [first] = await completed('hourly', 1);
    assert.match(first?.metadata.name ?? '', /^hourly-\d{8}-\d{4}00$/);
    const schedule = await get('hourly');
    const [owner] = first?.metadata.ownerReferences ?? [];
    assert.deepEqual([owner?.uid, owner?.controller], [schedule.metadata.uid, true]);
    assert.equal(first?.metadata.labels?.tier, 'test');
    // Three hours at once: one run is made up for.
    await later('hourly', 3 * HOUR_MS);
    const [, second] = await completed('hourly', 2);
    const { status } = await eventually('the status tells', async () => {
      const seen = await get('hourly');
      return seen.status?.lastSuccessfulBackup === second?.metadata.name ? seen : undefined;
    });
    assert.deepEqual(
      status?.backupHistory?.map(({ name, phase }) => [name, phase]),
      [second, first].map((run) => [run?.metadata.name, 'Completed']),
    );
    assert.deepEqual(status.active, []);
    assert.match(status.forecast?.fallback ?? '', /the schedule holds/);
  });

  // Early: once the clock is twelve hours ahead, a daily run is due as soon as the schedule is made.
  test('of an EtcdBackup is that of its own runs', async () => {
    await scene.create('nightly', {
      schedule: dailyFarFrom(now()),
      storageLocation: scene.location('nightly'),
    });
    await eventually('it is scheduled', async () => (await scene.get('nightly')).status?.phase === 'Pending');
    aheadMs += 24 * HOUR_MS;
    const touch = { resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name: 'nightly' };
    await scene.installation.kube.mergePatch(touch, { metadata: { annotations: { looked: 'yes' } } });
    const [run] = await completed('nightly', 1);
    assert.match(run?.metadata.name ?? '', /^nightly-\d{8}$/);
    const { status } = await eventually('it tells', async () => {
      const seen = await scene.get('nightly');
      return seen.status?.phase === 'Completed' ? seen : undefined;
    });
    assert.equal(status?.lastSuccessfulBackup, run?.metadata.name);
  });

  test('runs nothing while suspended, and makes nothing up for after', async () => {
    await create('paused', { suspend: true });
    await eventually('it says so', async () =>
      (await get('paused')).status?.conditions?.some(({ reason }) => reason === 'Suspended'),
    );
    await later('paused', 2 * HOUR_MS);
    await scene.installation.kube.mergePatch(reference('paused'), { spec: { suspend: false } });
    await eventually('it goes on', async () =>
      (await get('paused')).status?.conditions?.some(
        ({ type, status }) => type === 'Scheduled' && status === 'True',
      ),
    );
    assert.deepEqual(await runs('paused'), []);
    await later('paused', HOUR_MS);
    await completed('paused', 1);
  });

  test('keeps what its policy says, and removes the runs whose data went; another’s in the same place stays', async () => {
    const storageLocation = scene.location('shared');
    await scene.create('by-hand', { storageLocation });
    await scene.ended('by-hand');
    await create('kept', {}, { storageLocation, retentionPolicy: { maxBackups: 2 } });
    const next = async (): Promise<string | undefined> => (await get('kept')).status?.nextBackupTime;
    // With a run at once: to the clock that other tests have moved on, it was made hours ago.
    await eventually('it is scheduled', async () => (await next()) !== undefined);
    for (let run = 1; run <= 3; run += 1) {
      const due = await next();
      await later('kept', HOUR_MS);
      await eventually(`run ${run} has completed, and two are left at most`, async () => {
        if ((await next()) === due) return false;
        const all = await runs('kept');
        return all.length <= 2 && all.every(({ status }) => status?.phase === 'Completed');
      });
    }
    const left = await runs('kept');
    assert.equal(left.length, 2);
    const hand = await scene.get('by-hand');
    await eventually('the data of two runs is left', async () => {
      const operations = await scene.manifests('shared');
      return operations.length === 3;
    });
    const expected = [...left, hand].map(({ metadata }) => metadata.uid);
    assert.deepEqual((await scene.manifests('shared')).sort(), expected.sort());

    // As by a leader that died between the data and the resources.
    const [gone] = left;
    await scene.remove('shared', gone?.metadata.uid);
    await later('kept', HOUR_MS);
    await eventually('the run without data has gone', async () => {
      const all = await runs('kept');
      return all.length === 2 && all.every(({ metadata }) => metadata.uid !== gone?.metadata.uid);
    });
  });

  test('runs with the rights that whoever asked for it has by then', async () => {
    const { kube } = scene.installation;
    const requestedBy = { username: 'alice', groups: ['team-a'] };
    const binding = {
      resource: { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterrolebindings' },
      name: 'alice',
    };
    await kube.create(binding.resource, undefined, {
      ...{
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'alice' },
      },
      roleRef: { apiGroup: binding.resource.group, kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: binding.resource.group, kind: 'User', name: 'alice' }],
    });
    const mayBackUp = { verb: 'backup', group: 'etcdguardian.io', resource: 'etcdclusters' };
    await eventually('she has the right', () => mayUser(kube, requestedBy, mayBackUp));
    await create('alices', { requestedBy });
    await eventually(
      'it is scheduled',
      async () => (await get('alices')).status?.nextBackupTime !== undefined,
    );
    await later('alices', HOUR_MS);
    // One more, perhaps: to the clock that other tests have moved on, it was made hours ago.
    await eventually('all of its runs completed', async () => {
      const all = await runs('alices');
      return all.length > 0 && all.every(({ status }) => status?.phase === 'Completed');
    });

    await kube.delete(binding);
    await eventually('she has lost it', async () => !(await mayUser(kube, requestedBy, mayBackUp)));
    await later('alices', HOUR_MS);
    const refused = await eventually('the next run is refused', async () =>
      (await runs('alices')).find(({ status }) => status?.phase === 'Failed'),
    );
    assert.equal(refused.status?.reason, 'admission.forbidden');
    assert.match(refused.status.message ?? '', /user "alice" may not backup etcdclusters/);
  });

  test('tells that its runs are refused, in one Event for all, and goes on when they may be made again', async () => {
    const allowAgain = await refuseRunsOf('unwanted');
    await create('unwanted', {});
    await eventually(
      'it is scheduled',
      async () => (await get('unwanted')).status?.nextBackupTime !== undefined,
    );
    await later('unwanted', HOUR_MS);
    const told = await eventually('it is told', async () => {
      const schedule = await get('unwanted');
      return scheduled(schedule)?.reason === 'RunRefused' ? schedule : undefined;
    });
    assert.equal(scheduled(told)?.status, 'False');
    assert.match(
      told.status?.message ?? '',
      /^runs can't be created: .*"unwanted-…" is forbidden.*no runs today/,
    );
    const next = told.status?.nextBackupTime;
    await later('unwanted', HOUR_MS);
    await eventually(
      'the next one is refused',
      async () => (await get('unwanted')).status?.nextBackupTime !== next,
    );
    assert.deepEqual(await runs('unwanted'), []);

    await allowAgain();
    await eventually('its run is made', async () => {
      await later('unwanted', 1);
      return (await runs('unwanted')).length > 0;
    });
    await eventually('it says so', async () => scheduled(await get('unwanted'))?.reason === 'Scheduled');
    // Events are written in the order in which they happened.
    const reasons = await eventually('its Events are there', async () => {
      const told = await scene.installation.events('unwanted');
      return told.some((text) => text.startsWith('RunBegun')) ? told : undefined;
    });
    assert.equal(reasons.filter((text) => text.startsWith('RunRefused')).length, 1);
  });
});
