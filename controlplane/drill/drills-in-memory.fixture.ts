import { formatKeyFile } from '../../lib/encryption/key-file.ts';
import { createKeys } from '../../lib/encryption/keys.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type {
  KubeClient,
  KubeListOptions,
  KubeObject,
  KubeReference,
  KubeResource,
} from '../../lib/kubernetes/kube-client.ts';
import { formatDrillSummary } from '../../lib/restore/drill/drill-summary.ts';
import { type LogLine, recordedLog } from '../installation.fixture.ts';
import { controlPlaneMetrics } from '../metrics.ts';
import { controlPlaneSettings } from '../settings.ts';
import type { SharedWatch } from '../shared-watch.ts';
import { at, backupNamed } from './drill-backups.fixture.ts';
import type { Job } from './drill-job.ts';
import { endOf } from './job-end.ts';
import { DrillReconciler } from './drill-reconciler.ts';

const NAMESPACE = 'etcd-guardian-system';

/** What an API server in memory does; what is thrown is its answer. */
export interface DrillApi {
  readonly onSecret?: () => void;
  /** A Job was made. */
  readonly onJob?: (job: KubeObject) => void;
  /** Whether the control plane's copy of the Jobs shows none yet. */
  readonly isBehind?: () => boolean;
  readonly onStatus?: (name: string) => void;
  /** Secrets that specs name are read. */
  readonly onRead?: (name: string) => void;
  readonly pods?: (job: Job) => readonly KubeObject[];
  /** Pods whose Jobs are gone. */
  readonly orphans?: () => readonly KubeObject[];
  /** Names of backups that are due; `nightly` if left out. */
  readonly backups?: readonly string[];
}

/** An API server in memory, of Jobs, their pods and Secrets. */
export interface DrillsInMemory {
  /** The control plane looks at everything, so many hours behind the day's beginning. */
  readonly look: (hours: number) => Promise<void>;
  /** Another clock than that: as much later it is since the control plane began. */
  readonly pass: (ms: number) => void;
  /** As it is there. */
  readonly backup: (name: string) => EtcdBackup;
  /** All that have not been removed; a Job that is being removed stays until the test takes it away. */
  readonly jobs: Job[];
  readonly secrets: readonly KubeObject[];
  readonly told: readonly string[];
  readonly lines: readonly LogLine[];
  /** Names of backups whose status was written. */
  readonly written: readonly string[];
}

export async function drillsInMemory(api: DrillApi = {}): Promise<DrillsInMemory> {
  const {
    onSecret,
    onJob,
    isBehind = () => false,
    onStatus,
    onRead,
    pods = () => [],
    orphans = () => [],
    backups: names = ['nightly'],
  } = api;
  const jobs: Job[] = [];
  const secrets: KubeObject[] = [];
  const written: string[] = [];
  const told: string[] = [];
  let now = at(1);
  let passedMs = 0;
  let uids = 0;
  const backups = new Map(
    names.map((name, index) => {
      const spec = { storageLocation: { ...storageLocation, credentialsSecret: `keys-of-${name}` } };
      return [name, backupNamed(name, { completed: index / 60, metadata: { namespace: NAMESPACE }, spec })];
    }),
  );
  const kube = {
    list: ({ plural }: KubeResource, { fieldSelector }: KubeListOptions) => {
      const items = plural === 'pods' ? [...orphans(), ...jobs.flatMap(pods)] : jobs;
      const isListed = ({ metadata: { name } }: KubeObject): boolean =>
        fieldSelector === undefined || fieldSelector === `metadata.name=${name}`;
      return Promise.resolve({ items: items.filter(isListed), metadata: {} });
    },
    get({ name }: KubeReference): Promise<object> {
      onRead?.(name);
      const data = { 'access-key-id': 'eA==', 'secret-access-key': 'eA==' };
      return Promise.resolve({ metadata: { name, namespace: NAMESPACE }, data });
    },
    create({ plural }: KubeResource, _namespace: string, object: KubeObject): Promise<object> {
      const all: KubeObject[] = plural === 'jobs' ? jobs : secrets;
      if (plural === 'secrets') onSecret?.();
      if (all.some(({ metadata }) => metadata.name === object.metadata.name))
        return Promise.reject(new GuardianError('kubernetes.exists', `${plural} has it already`));
      const made = { ...object, metadata: { ...object.metadata, uid: `uid-${(uids += 1)}` } };
      all.push(made);
      if (plural === 'jobs') onJob?.(made);
      return Promise.resolve(made);
    },
    delete({ name }: KubeReference): Promise<void> {
      const index = jobs.findIndex(({ metadata }) => metadata.name === name);
      const job = jobs[index];
      if (job === undefined) return Promise.reject(new GuardianError('kubernetes.not-found', name));
      const metadata = { ...job.metadata, deletionTimestamp: now.toISOString() };
      jobs.splice(index, 1, { ...job, metadata });
      return Promise.resolve();
    },
    async mergePatch({ name }: KubeReference, patch: { status: EtcdBackupStatus }): Promise<EtcdBackup> {
      await Promise.resolve();
      onStatus?.(name);
      written.push(name);
      const before = backupOf(name);
      const validationResult = { ...before.status?.validationResult, ...patch.status.validationResult };
      const after = { ...before, status: { ...before.status, ...patch.status, validationResult } };
      backups.set(name, after);
      return after;
    },
  };
  const backupOf = (name: string): EtcdBackup => {
    const backup = backups.get(name);
    if (backup === undefined) throw new Error(`no backup ${name}`);
    return backup;
  };
  const signing = await (signingKey ??= makeSigningKey());
  const settings = controlPlaneSettings({}, { drillsPod: '{"image":"g"}', drillsEtcdImage: 'e' });
  const { drillsPod: pod } = settings;
  if (pod === undefined) throw new Error('no settings of pods');
  const tell = (about: { metadata: { name: string } }, reason: string, message: string): void => {
    told.push(`${about.metadata.name} ${reason}: ${message}`);
  };
  const { log, lines } = recordedLog();
  let draws = 0;
  const random = (): number => ((draws += 1) * 0.37) % 1;
  const tools = {
    ...{ kube: kube as unknown as KubeClient, namespace: NAMESPACE, settings, random },
    ...{ clock: () => now, log, audit: () => undefined, metrics: controlPlaneMetrics() },
    ...{ events: { normal: tell, warning: tell }, signingKeyFile: () => Promise.resolve(signing) },
  };
  const reconciler = new DrillReconciler({
    ...{ tools, pod, schedules: watchOf(() => []), restores: watchOf(() => []) },
    ...{ backups: watchOf(() => [...backups.values()]), monotonicMs: () => passedMs },
    jobs: { list: () => (isBehind() ? [] : [...jobs]) },
  });
  return {
    ...{ jobs, secrets, told, lines, written, backup: backupOf },
    async look(hours) {
      now = at(hours);
      await reconciler.reconcile(new AbortController().signal);
    },
    pass(ms) {
      passedMs += ms;
    },
  };
}

/** It takes a second to make one. */
let signingKey: Promise<Buffer> | undefined;

async function makeSigningKey(): Promise<Buffer> {
  return Buffer.from(formatKeyFile((await createKeys('signing', at(0))).keys));
}

const storageLocation = { provider: 'S3', bucket: 'backups', region: 'r' } as const;

function watchOf<T extends KubeObject>(list: () => readonly T[]): SharedWatch<T> {
  return {
    ...{ list, listen: () => undefined, synced: Promise.resolve() },
    get: (key) => list().find(({ metadata: { namespace = '', name } }) => `${namespace}/${name}` === key),
  };
}

/** A pod of it whose first container is in that state. */
export function podOf(
  { metadata: { name, uid = '', annotations = {} } }: Job,
  state: object,
): KubeObject & { status: object } {
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name, uid };
  return {
    metadata: { name: `${name}-x`, annotations, ownerReferences: [owner] },
    status: { phase: 'Pending', initContainerStatuses: [{ name: 'carrier', state }] },
  };
}

/** A pod of it whose drill is held, and passed when the Job has ended. */
export function heldPodOf(job: Job): KubeObject {
  const { metadata } = podOf(job, {});
  const isOver = endOf(job) !== undefined;
  const state = isOver ? { terminated: { exitCode: 0, message: PASSED } } : { running: {} };
  const containerStatuses = [{ name: 'drill', state }];
  return { metadata, status: { phase: isOver ? 'Succeeded' : 'Running', containerStatuses } } as KubeObject;
}

const PASSED = formatDrillSummary({
  ...{ result: 'passed', revision: '42', etcdVersion: '3.6.16', recoverySeconds: 25, keys: 7 },
  ...{ failedChecks: [], failed: 0, warnings: 0 },
});
