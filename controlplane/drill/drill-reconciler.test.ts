import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatKeyFile } from '../../lib/encryption/key-file.ts';
import { createKeys } from '../../lib/encryption/keys.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { KubeClient, KubeObject, KubeResource } from '../../lib/kubernetes/kube-client.ts';
import { recordedLog } from '../installation.fixture.ts';
import { controlPlaneMetrics } from '../metrics.ts';
import { controlPlaneSettings } from '../settings.ts';
import type { SharedWatch } from '../shared-watch.ts';
import { at, backupNamed } from './drill-backups.fixture.ts';
import type { Job } from './drill-job.ts';
import { DrillReconciler } from './drill-reconciler.ts';

const NAMESPACE = 'etcd-guardian-system';
const MINUTE = 1 / 60;
const signal = new AbortController().signal;

interface Api {
  /** Throws what the API server answers to a Secret. */
  readonly onSecret?: () => void;
  readonly pods?: (job: Job) => readonly KubeObject[];
}

/** An API server in memory, of Jobs, their pods and Secrets, with one backup that is due. */
async function scene({ onSecret, pods = () => [] }: Api = {}): Promise<{
  readonly look: (hours: number) => Promise<void>;
  readonly jobs: readonly Job[];
  readonly secrets: readonly object[];
  readonly told: readonly string[];
  readonly written: readonly object[];
}> {
  const jobs: Job[] = [];
  const secrets: object[] = [];
  const written: object[] = [];
  const told: string[] = [];
  let now = at(1);
  const kube = {
    list: ({ plural }: KubeResource) =>
      Promise.resolve({ items: plural === 'pods' ? jobs.flatMap((job) => pods(job)) : [], metadata: {} }),
    create({ plural }: KubeResource, _namespace: string, object: KubeObject): Promise<object> {
      if (plural === 'secrets') onSecret?.();
      const made = { ...object, metadata: { ...object.metadata, uid: `uid-${object.metadata.name}` } };
      if (plural === 'jobs') jobs.push(made as Job);
      else secrets.push(made);
      return Promise.resolve(made);
    },
    mergePatch(_reference: object, patch: object): Promise<object> {
      written.push(patch);
      return Promise.resolve({ ...backup, ...patch });
    },
  };
  const backup = backupNamed('nightly', { metadata: { namespace: NAMESPACE }, spec: { storageLocation } });
  const signing = Buffer.from(formatKeyFile((await createKeys('signing', at(0))).keys));
  const settings = controlPlaneSettings({}, { drillsPod: '{"image":"g"}', drillsEtcdImage: 'e' });
  const { drillsPod: pod } = settings;
  assert.ok(pod);
  const tell = (_about: object, reason: string, message: string): void => {
    told.push(`${reason}: ${message}`);
  };
  const tools = {
    ...{ kube: kube as unknown as KubeClient, namespace: NAMESPACE, settings, random: () => 0 },
    ...{ clock: () => now, log: recordedLog().log, audit: () => undefined, metrics: controlPlaneMetrics() },
    ...{ events: { normal: tell, warning: tell }, signingKeyFile: () => Promise.resolve(signing) },
  };
  const reconciler = new DrillReconciler({
    ...{ tools, pod, backups: watchOf(backup), schedules: watchOf(), restores: watchOf() },
    jobs: { list: () => jobs },
  });
  return {
    ...{ jobs, secrets, told, written },
    async look(hours) {
      now = at(hours);
      await reconciler.reconcile(signal);
    },
  };
}

const storageLocation = { provider: 'S3', bucket: 'backups', region: 'r' } as const;

function watchOf<T extends KubeObject>(...objects: readonly T[]): SharedWatch<T> {
  return {
    ...{ list: () => objects, listen: () => undefined, synced: Promise.resolve() },
    get: (key) => objects.find(({ metadata: { namespace = '', name } }) => `${namespace}/${name}` === key),
  };
}

function podOf({ metadata: { name, uid = '' } }: Job, state: object): KubeObject & { status: object } {
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name, uid };
  return {
    metadata: { name: `${name}-x`, ownerReferences: [owner] },
    status: { phase: 'Pending', initContainerStatuses: [{ name: 'carrier', state }] },
  };
}

describe('a drill that was begun', () => {
  test('without a right to make its Secret it is not written down: its Job goes on, and why it waits is told', async () => {
    const { look, jobs, secrets, told, written } = await scene({
      onSecret() {
        throw new GuardianError('kubernetes.forbidden', 'exceeded quota: secrets');
      },
    });
    await look(1);
    assert.deepEqual([jobs.length, secrets.length, written.length], [1, 0, 0]);
    await look(1 + MINUTE);
    assert.equal(told.length, 1);
    await look(1 + 3 * MINUTE);
    assert.deepEqual([jobs.length, written.length], [1, 0]);
    assert.match(told.at(-1) ?? '', /^DrillWaiting: Job \S+ does not run: exceeded quota: secrets/);
  });

  for (const [what, pods] of [
    ['without a pod', () => []],
    ['whose pod waits for a volume', (job) => [podOf(job, { waiting: { reason: 'PodInitializing' } })]],
  ] satisfies [string, Api['pods']][])
    test(`${what} is told after two minutes, once`, async () => {
      const { look, told } = await scene({ pods });
      await look(1);
      await look(1 + MINUTE);
      assert.deepEqual(
        told.map((text) => text.split(':')[0]),
        ['DrillStarted'],
      );
      await look(1 + 3 * MINUTE);
      await look(1 + 4 * MINUTE);
      assert.equal(told.length, 2);
      assert.match(told[1] ?? '', /^DrillWaiting: Job \S+ does not run: no container has begun.*get events/);
    });

  test('whose pod runs waits for nothing', async () => {
    const { look, told } = await scene({ pods: (job) => [podOf(job, { running: {} })] });
    await look(1);
    await look(1 + 3 * MINUTE);
    assert.equal(told.length, 1);
  });
});
