import { join } from 'node:path';
import { eventually } from '../../test/harness/eventually.ts';
import { auditLog } from '../../lib/audit-log.ts';
import { formatKeyFile } from '../../lib/encryption/key-file.ts';
import { createKeys } from '../../lib/encryption/keys.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { eventRecorder } from '../../lib/kubernetes/event-recorder.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { type DrillSummary, formatDrillSummary } from '../../lib/restore/drill/drill-summary.ts';
import { PODS, type Secret, SECRETS } from '../core-resources.ts';
import {
  type Installation,
  type LogLine,
  NAMESPACE,
  recordedLog,
  startInstallation,
} from '../installation.fixture.ts';
import { type ControlPlaneMetrics, controlPlaneMetrics } from '../metrics.ts';
import { objectEvents } from '../object-events.ts';
import { runControllers } from '../run-controllers.ts';
import { drills } from './drill-controller.ts';
import { type Job, JOBS, orderOf, secretNameOf } from './drill-job.ts';

export const PASSED: DrillSummary = {
  ...{ result: 'passed', revision: '42', etcdVersion: '3.6.16', recoverySeconds: 25.2, keys: 7 },
  ...{ failedChecks: [], failed: 0, warnings: 0 },
};

/** A real API server with our resources; whoever makes pods and ends Jobs is the test, as neither kubelet nor controllers run. */
export interface DrillScene extends AsyncDisposable {
  readonly installation: Installation;
  /** Time goes on by so long for all control planes, which are woken. */
  later(ms: number): Promise<void>;
  now(): Date;
  start(options?: { kube?: KubeClient; cadence?: string }): DrillingReplica;
  /** A backup that completed, of the whole cluster; `of`: the schedule that it is a run of. */
  completed(
    name: string,
    options?: { spec?: object; of?: EtcdBackupSchedule; namespace?: string },
  ): Promise<EtcdBackup>;
  schedule(name: string): Promise<EtcdBackupSchedule>;
  get(name: string, namespace?: string): Promise<EtcdBackup>;
  /** Waits until a drill of it is told that is none of `before`. */
  drilled(name: string, ...before: readonly (string | undefined)[]): Promise<Drill>;
  annotate(name: string, annotations: Readonly<Record<string, string>>): Promise<void>;
  /** All Jobs of drills of that backup. */
  jobs(name: string): Promise<Job[]>;
  /** Waits until one goes on that has its Secret. */
  begun(name: string): Promise<{ readonly job: Job; readonly secret: Secret }>;
  /** What kubelet makes of its pod. */
  pod(job: Job, status: object): Promise<void>;
  /** What the controller of Jobs makes of it. */
  end(job: Job, end: 'Complete' | 'DeadlineExceeded' | 'BackoffLimitExceeded'): Promise<void>;
  /** The pod ends with that summary, and the Job with it. */
  hold(job: Job, summary: DrillSummary): Promise<void>;
  /** What the garbage collector makes of Jobs that were deleted with their pods. */
  collectGarbage(): Promise<void>;
  /** Reasons of the Events on it, with their notes. */
  events(name: string): Promise<string[]>;
}

type Drill = NonNullable<NonNullable<EtcdBackupStatus['validationResult']>['drill']>;

export interface DrillingReplica extends AsyncDisposable {
  /** Resolves when it has looked at everything as it is now. */
  looked(): Promise<void>;
  readonly lines: LogLine[];
  readonly metrics: ControlPlaneMetrics;
}

const ROOT = join(import.meta.dirname, '..', '..');

export async function startDrillScene(): Promise<DrillScene> {
  await using stack = new AsyncDisposableStack();
  const installation = stack.use(await startInstallation());
  const { server, kube } = installation;
  await server.kubectl('create', 'serviceaccount', 'etcdguardian-drill', '-n', NAMESPACE);
  await server.kubectl('apply', '-f', join(ROOT, 'manifests/crds'));
  await eventually('the resources are served', async () => {
    await kube.list(ETCD_BACKUP_RESOURCE, { namespace: NAMESPACE });
    await kube.list(ETCD_BACKUP_SCHEDULE_RESOURCE, { namespace: NAMESPACE });
    await kube.list(ETCD_RESTORE_RESOURCE, { namespace: NAMESPACE });
    return true;
  });
  const signing = Buffer.from(formatKeyFile((await createKeys('signing', new Date())).keys));
  let aheadMs = 0;
  let looks = 0;
  const now = (): Date => new Date(Date.now() + aheadMs);
  const backup = (
    name: string,
    namespace = NAMESPACE,
  ): { resource: typeof ETCD_BACKUP_RESOURCE; namespace: string; name: string } => ({
    ...{ resource: ETCD_BACKUP_RESOURCE, namespace, name },
  });
  const get: DrillScene['get'] = (name, namespace) => kube.get<EtcdBackup>(backup(name, namespace));
  const annotate: DrillScene['annotate'] = async (name, annotations) => {
    await kube.mergePatch(backup(name), { metadata: { annotations } });
  };
  const jobs: DrillScene['jobs'] = async (name) => {
    const { items } = await kube.list<Job>(JOBS, { namespace: NAMESPACE });
    return items.filter((job) => orderOf(job)?.backup.name === name);
  };
  const pod: DrillScene['pod'] = async ({ metadata, spec }, status) => {
    const { template } = spec as { template: { metadata: object; spec: object } };
    const name = `${metadata.name}-x1y2z`;
    const owner = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      name: metadata.name,
      uid: metadata.uid,
      controller: true,
    };
    const reference = { resource: PODS, namespace: NAMESPACE, name };
    await kube.create(PODS, NAMESPACE, {
      metadata: { ...template.metadata, name, ownerReferences: [owner] },
      spec: { ...template.spec, nodeName: 'node-1' },
    });
    await kube.mergePatch({ ...reference, subresource: 'status' }, { status });
  };
  const end: DrillScene['end'] = async ({ metadata }, reason) => {
    const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = (type: string): object => ({
      ...{
        type,
        status: 'True',
        reason,
        message: 'told by the test',
        lastProbeTime: time,
        lastTransitionTime: time,
      },
    });
    const isComplete = reason === 'Complete';
    const status = {
      ...{ startTime: time, uncountedTerminatedPods: {}, ready: 0, terminating: 0 },
      ...(isComplete ? { succeeded: 1, completionTime: time } : { failed: 1 }),
      conditions: isComplete
        ? [condition('SuccessCriteriaMet'), condition('Complete')]
        : [condition('FailureTarget'), condition('Failed')],
    };
    const reference = { resource: JOBS, namespace: NAMESPACE, name: metadata.name, subresource: 'status' };
    await kube.mergePatch(reference, { status });
  };
  /** Whatever changes is a reason to look. */
  const wake = async (): Promise<void> => {
    const { items } = await kube.list<EtcdBackup>(ETCD_BACKUP_RESOURCE);
    const [first] = items;
    const { name, namespace } = first?.metadata ?? { name: '' };
    const annotations = { looked: `${(looks += 1)}` };
    await kube.mergePatch(backup(name, namespace), { metadata: { annotations } });
  };
  const moved = stack.move();
  return {
    ...{ installation, now, get, annotate, jobs, pod, end },
    async later(ms) {
      aheadMs += ms;
      await wake();
    },
    start({ kube: client = kube, cadence = '168h' } = {}) {
      const { log, lines } = recordedLog();
      const metrics = controlPlaneMetrics();
      const ending = new AbortController();
      const recorder = eventRecorder({
        ...{ client: kube, controller: 'etcdguardian.io/controlplane', instance: 'test' },
      });
      const settings = installation.settings({
        ...{ drillsEveryMs: cadence, drillsPod: JSON.stringify({ image: 'etcdguardian:test' }) },
        ...{ drillsEtcdImage: 'etcd:test', drillsKubeApiserverImage: 'kube-apiserver:test' },
      });
      const controller = drills({
        ...{ kube: client, namespace: NAMESPACE, clock: now, random: Math.random, log, metrics, settings },
        ...{ audit: auditLog(log), events: objectEvents(recorder) },
        signingKeyFile: () => Promise.resolve(signing),
      });
      const running = runControllers([controller], { log, metrics }, ending.signal);
      running.catch(() => undefined);
      const steps = async (): Promise<number> => {
        const { values } = await metrics.reconciles.get();
        return values.reduce((sum, { value }) => sum + value, 0);
      };
      return {
        ...{ lines, metrics },
        async looked() {
          // One that goes on may have begun before.
          for (let times = 0; times < 2; times += 1) {
            const before = await steps();
            await wake();
            await eventually('it has looked', async () => (await steps()) > before);
          }
        },
        async [Symbol.asyncDispose]() {
          ending.abort();
          await running;
          await recorder.flush(AbortSignal.timeout(5_000));
        },
      };
    },
    async completed(name, { spec = {}, of, namespace = NAMESPACE } = {}) {
      const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
      const owner = { apiVersion, kind: 'EtcdBackupSchedule', controller: true };
      const { name: parent, uid } = of?.metadata ?? {};
      await kube.create(ETCD_BACKUP_RESOURCE, namespace, {
        ...{ apiVersion, kind },
        metadata: {
          name,
          ...(of === undefined ? {} : { ownerReferences: [{ ...owner, name: parent, uid }] }),
        },
        spec: { ...SPEC, ...spec },
      });
      const status: EtcdBackupStatus = {
        ...{ phase: 'Completed', completionTime: now().toISOString() },
        snapshotLocation: 's3://backups/main/clusters/c1/timelines/000001/chains/20261101t0000z',
      };
      return kube.mergePatch<EtcdBackup>({ ...backup(name, namespace), subresource: 'status' }, { status });
    },
    schedule: (name) =>
      kube.create<EtcdBackupSchedule>(ETCD_BACKUP_SCHEDULE_RESOURCE, NAMESPACE, {
        ...{
          apiVersion: ETCD_BACKUP_SCHEDULE_RESOURCE.apiVersion,
          kind: 'EtcdBackupSchedule',
          metadata: { name },
        },
        spec: { schedule: '@yearly', backupTemplate: { spec: SPEC } },
      }),
    drilled: (name, ...before) =>
      eventually(`a drill of ${name} is told`, async () => {
        const { drill } = (await get(name)).status?.validationResult ?? {};
        return drill === undefined || before.includes(drill.time) ? undefined : drill;
      }),
    begun: (name) =>
      eventually(`a drill of ${name} was begun`, async () => {
        const job = (await jobs(name)).find(({ status }) => status?.conditions === undefined);
        if (job === undefined) return undefined;
        const reference = { resource: SECRETS, namespace: NAMESPACE, name: secretNameOf(job) };
        return { job, secret: await kube.get<Secret>(reference) };
      }),
    async hold(job, summary) {
      const finishedAt = now()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z');
      const isPassed = summary.result === 'passed';
      const terminated = { exitCode: isPassed ? 0 : 3, finishedAt, message: formatDrillSummary(summary) };
      await pod(job, {
        phase: isPassed ? 'Succeeded' : 'Failed',
        containerStatuses: [containerStatus('drill', { terminated })],
      });
      await end(job, isPassed ? 'Complete' : 'BackoffLimitExceeded');
    },
    async collectGarbage() {
      const { items } = await kube.list<Job>(JOBS, { namespace: NAMESPACE });
      for (const { metadata } of items)
        if (metadata.deletionTimestamp !== undefined)
          await kube.mergePatch(
            { resource: JOBS, namespace: NAMESPACE, name: metadata.name },
            { metadata: { finalizers: null } },
          );
    },
    events: (name) => installation.events(name),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

/** As kubelet writes it. */
export function containerStatus(name: string, state: object): object {
  return { name, image: 'x', imageID: '', ready: false, restartCount: 0, state };
}

const SPEC = {
  ...{ backupMode: 'Full', validation: { enabled: true, consistencyCheck: true } },
  storageLocation: { provider: 'S3', bucket: 'backups', prefix: 'main', region: 'r' },
};
