import type { KubeObject, KubeResource } from '../../lib/kubernetes/kube-client.ts';
import { labelSelectorText } from '../../lib/kubernetes/rights/label-selector.ts';
import { OUR_LABELS, type Secret } from '../core-resources.ts';
import type { DrillOrder, DrillSettings } from './drill-order.ts';
import { drillPod, entryOf } from './drill-pod.ts';

export const JOBS: KubeResource = { group: 'batch', version: 'v1', plural: 'jobs' };

/** A Job, as far as it is read here. */
export interface Job extends KubeObject {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly active?: number;
    readonly failed?: number;
    readonly succeeded?: number;
    readonly startTime?: string;
    readonly completionTime?: string;
    readonly conditions?: readonly JobCondition[];
  };
}

export interface JobCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export const DRILL_LABELS = { ...OUR_LABELS, 'app.kubernetes.io/component': 'drill' } as const;

/** Finds Jobs, pods and Secrets of drills. */
export const DRILL_SELECTOR = labelSelectorText({ matchLabels: DRILL_LABELS });

/** On a Job: which backup it drills, and when it was ordered (RFC 3339). */
export const DRILL_ANNOTATIONS = {
  namespace: 'etcdguardian.io/backup-namespace',
  name: 'etcdguardian.io/backup-name',
  uid: 'etcdguardian.io/backup-uid',
  at: 'etcdguardian.io/ordered-at',
} as const;

/** On a Job: the name of its Secret, if that isn't its own. */
const SECRET_ANNOTATION = 'etcdguardian.io/drill-secret';

/** Kept so long, for people; then Kubernetes removes it with its pod and Secret. */
const KEPT_SECONDS = 3_600;

/** The Job that holds a drill, once. Its pod waits until `drillSecret` is there. */
export function drillJob(order: DrillOrder, settings: DrillSettings): Job {
  const { name, backup, at } = order;
  const { namespace, deadlineMs } = settings;
  const annotations = {
    [DRILL_ANNOTATIONS.namespace]: backup.namespace,
    [DRILL_ANNOTATIONS.name]: backup.name,
    [DRILL_ANNOTATIONS.uid]: backup.uid,
    [DRILL_ANNOTATIONS.at]: at.toISOString(),
    [SECRET_ANNOTATION]: order.secret,
  };
  return {
    ...{ apiVersion: 'batch/v1', kind: 'Job' },
    metadata: { name, namespace, labels: DRILL_LABELS, annotations },
    spec: {
      ...{ backoffLimit: 0, ttlSecondsAfterFinished: KEPT_SECONDS },
      activeDeadlineSeconds: Math.max(1, Math.ceil(deadlineMs / 1_000)),
      template: { metadata: { labels: DRILL_LABELS, annotations }, spec: drillPod(order, settings) },
    },
  };
}

/** What the drill needs and nobody else may see; it goes with the Job, whatever that is called by now. */
export function drillSecret(
  order: Pick<DrillOrder, 'files' | 'environment'>,
  { metadata }: Pick<Job, 'metadata'>,
  namespace: string,
): Secret & { readonly immutable: true } {
  const { name, uid = '' } = metadata;
  const secretName = secretNameOf({ metadata });
  const values = Object.entries(order.environment).map(
    ([variable, value]) => [entryOf(variable), Buffer.from(value)] as const,
  );
  const entries = [...Object.entries(order.files), ...values];
  return {
    ...{ apiVersion: 'v1', kind: 'Secret', type: 'Opaque', immutable: true },
    metadata: {
      ...{ name: secretName, namespace, labels: DRILL_LABELS },
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true }],
    },
    data: Object.fromEntries(
      entries.map(([entry, bytes]) => [entry, Buffer.from(bytes).toString('base64')] as const),
    ),
  };
}

/** Jobs of older versions have Secrets of their own names. */
export function secretNameOf({ metadata: { name, annotations } }: Pick<Job, 'metadata'>): string {
  return annotations?.[SECRET_ANNOTATION] ?? name;
}

/** The backup that a Job drills, and since when; undefined where it doesn't say. */
export function orderOf({ metadata }: KubeObject): Pick<DrillOrder, 'backup' | 'at'> | undefined {
  const { annotations = {} } = metadata;
  const namespace = annotations[DRILL_ANNOTATIONS.namespace];
  const name = annotations[DRILL_ANNOTATIONS.name];
  const uid = annotations[DRILL_ANNOTATIONS.uid];
  const at = new Date(annotations[DRILL_ANNOTATIONS.at] ?? '');
  if (namespace === undefined || name === undefined || uid === undefined) return undefined;
  return Number.isNaN(at.getTime()) ? undefined : { backup: { namespace, name, uid }, at };
}
