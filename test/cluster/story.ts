import { z } from 'zod';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { applyObjects } from './pods.ts';
import type { Permission } from './rbac/permission.ts';

/** What the parts of the story share. */
export interface Story {
  readonly cluster: Cluster;
  /** Has bucket `backups`, and lasts as long as the story. */
  readonly s3: S3Server;
  /** What the chart granted, from which character of the audit log on. */
  readonly grants: { readonly from: number; readonly permissions: readonly Permission[] }[];
}

export async function startStory(cluster: Cluster): Promise<Story & AsyncDisposable> {
  const s3 = await startS3Server({ host: cluster.hostAddress });
  await s3.createBucket('backups');
  return { cluster, s3, grants: [], [Symbol.asyncDispose]: () => s3[Symbol.asyncDispose]() };
}

const GUARDIAN_API = 'etcdguardian.io/v1alpha1';

/** The Secret that `storageLocation` names. */
export function storeSecret({ s3 }: Story, namespace: string): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 's3-credentials' } },
    stringData: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
  };
}

export function storageLocation({ s3 }: Story): object {
  return {
    ...{ provider: 'S3', bucket: 'backups', region: 'us-east-1', credentialsSecret: 's3-credentials' },
    endpoint: s3.endpoint,
  };
}

export function backupOf(story: Story, namespace: string, name: string, spec: object = {}): object {
  return {
    ...{ apiVersion: GUARDIAN_API, kind: 'EtcdBackup', metadata: { namespace, name } },
    spec: { backupMode: 'Full', storageLocation: storageLocation(story), ...spec },
  };
}

export function restoreOf(namespace: string, name: string, spec: object): object {
  return { apiVersion: GUARDIAN_API, kind: 'EtcdRestore', metadata: { namespace, name }, spec };
}

/** Makes a full backup of the namespaces with these labels every minute, and keeps one. */
export function scheduleOf(
  story: Story,
  namespace: string,
  name: string,
  matchLabels: Readonly<Record<string, string>>,
): object {
  const spec = { backupMode: 'Full', storageLocation: storageLocation(story) };
  const more = { namespaceSelector: { matchLabels }, retentionPolicy: { maxBackups: 1 } };
  return {
    ...{ apiVersion: GUARDIAN_API, kind: 'EtcdBackupSchedule', metadata: { namespace, name } },
    spec: { schedule: '* * * * *', backupTemplate: { spec: { ...spec, ...more } } },
  };
}

/** `kubectl create` of one object, as the administrator or as `user` says (`--as=…`). */
export async function createObject(
  { cluster }: Story,
  object: object,
  ...user: readonly string[]
): Promise<void> {
  const file = await cluster.file('object.json', JSON.stringify(object));
  await cluster.kubectl('create', `--filename=${file}`, ...user);
}

export type Ended = z.infer<typeof Ended>;
const Ended = z.looseObject({
  phase: z.string().default(''),
  message: z.string().optional(),
  snapshotLocation: z.string().optional(),
  source: z.looseObject({ node: z.string().optional() }).optional(),
  validationResult: z
    .looseObject({ verdict: z.string().optional(), proof: z.string().optional() })
    .optional(),
  namespaces: z.looseObject({ names: z.array(z.string()).default([]) }).optional(),
  objects: z.looseObject({ created: z.number().optional(), failed: z.number().optional() }).optional(),
});

/** Resolves to the status of `etcdbackup/NAME` or `etcdrestore/NAME` as soon as it has completed or failed. */
export async function endOf({ cluster }: Story, namespace: string, name: string): Promise<Ended> {
  const object = [name, `--namespace=${namespace}`];
  return await eventually(
    `${name} has ended`,
    async () => {
      const condition = '--for=jsonpath={.status.completionTime}';
      await cluster.kubectl('wait', ...object, condition, '--timeout=120s');
      const status = await cluster.kubectl('get', ...object, '--output=jsonpath={.status}');
      return Ended.parse(JSON.parse(status));
    },
    180_000,
  );
}

/** The reasons of the Events about the objects of this name. */
export async function eventsOf({ cluster }: Story, namespace: string, name: string): Promise<string> {
  const options = [`--field-selector=regarding.name=${name}`, '--output=jsonpath={.items[*].reason}'];
  return await cluster.kubectl('get', 'events.v1.events.k8s.io', `--namespace=${namespace}`, ...options);
}

/** A namespace with the rights of a team's users `tina` and `robot` (a service account) in it. */
export async function giveTeam(
  story: Story,
  namespace: string,
  labels: Record<string, string> = {},
): Promise<void> {
  const rbac = { apiGroup: 'rbac.authorization.k8s.io' };
  await applyObjects(
    story.cluster,
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } },
    // What there is in the namespace, and to back it up.
    ...['admin', 'etcd-tenant-operator'].map((role) => ({
      ...{ apiVersion: `${rbac.apiGroup}/v1`, kind: 'RoleBinding', metadata: { namespace, name: role } },
      roleRef: { ...rbac, kind: 'ClusterRole', name: role },
      subjects: [
        { ...rbac, kind: 'User', name: 'tina' },
        { kind: 'ServiceAccount', namespace: 'team-a', name: 'robot' },
      ],
    })),
  );
}

export const AS_TINA = ['--as=tina', '--as-group=team-a', '--as-uid=tina-1'];
export const AS_ROBOT = ['--as=system:serviceaccount:team-a:robot'];
