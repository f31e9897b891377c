import type { Command } from 'commander';
import { hasCode } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { KubeClient, KubeObject, KubeReference } from '../../lib/kubernetes/kube-client.ts';
import type { Lease } from '../../lib/kubernetes/lease-lock.ts';
import * as resources from './installed-resources.ts';
import { listAll } from './list-all.ts';
import { look, type Looked } from './looked.ts';

/** Which installation is looked at. */
export interface InstallationOptions {
  readonly systemNamespace: string;
}

export function withInstallationOptions(command: Command): Command {
  return command.option(
    '--system-namespace <name>',
    'where EtcdGuardian is installed',
    'etcd-guardian-system',
  );
}

const OURS = 'app.kubernetes.io/name=etcdguardian';
const NAMES = ['etcdbackups', 'etcdbackupschedules', 'etcdrestores'];

/** Everything that an installation has in the API server, as far as this user may see it. */
export interface Installation {
  readonly namespace: string;
  /** Answers only with the API server, and that with etcd. */
  readonly server: Looked<ServerFacts>;
  /** The uid of kube-system. */
  readonly cluster: Looked<string>;
  readonly crds: Looked<
    readonly (readonly [name: string, crd: resources.CustomResourceDefinition | undefined])[]
  >;
  readonly mutating: Looked<readonly resources.WebhookConfiguration[]>;
  readonly validating: Looked<readonly resources.WebhookConfiguration[]>;
  /** Undefined: this API server has none, being older than 1.30. */
  readonly policies: Looked<readonly string[] | undefined>;
  /** The names of policies that are bound. */
  readonly bound: Looked<readonly string[] | undefined>;
  readonly lease: Looked<Lease | undefined>;
  readonly pods: Looked<readonly resources.Pod[]>;
  readonly agents: Looked<resources.DaemonSet | undefined>;
  readonly events: Looked<readonly resources.KubeEvent[]>;
  readonly trust: Looked<resources.DataObject | undefined>;
  readonly authority: Looked<resources.DataObject | undefined>;
  readonly webhookTls: Looked<resources.DataObject | undefined>;
  readonly backups: Looked<readonly EtcdBackup[]>;
  readonly schedules: Looked<readonly EtcdBackupSchedule[]>;
}

export interface ServerFacts {
  readonly url: string;
  readonly version: string;
  readonly user: string;
  /** Its clock minus ours; undefined where it is too old to tell (before 1.28). */
  readonly clockAheadMs: number | undefined;
}

/** Asks for all of it at the same time; nothing that is refused or away makes it reject. */
export async function readInstallation(
  client: KubeClient,
  { systemNamespace: namespace }: InstallationOptions,
  clock: () => Date,
  signal: AbortSignal,
): Promise<Installation> {
  const one = <T extends KubeObject>(reference: KubeReference): Promise<Looked<T | undefined>> =>
    look(client.get<T>(reference, { signal }).catch(undefinedIfMissing));
  const own = (resource: KubeReference['resource'], name: string): KubeReference => ({
    ...{ resource, namespace, name },
  });
  const { MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, POLICIES, POLICY_BINDINGS } = resources;
  const labelled = { labelSelector: OURS, signal };
  const [server, cluster, crds, mutating, validating, policies, bound] = await Promise.all([
    look(serverFacts(client, clock, signal)),
    look(client.get({ resource: resources.NAMESPACES, name: 'kube-system' }, { signal }).then(uidOf)),
    look(Promise.all(NAMES.map(async (name) => [name, await crdOf(client, name, signal)] as const))),
    look(listAll<resources.WebhookConfiguration>(client, MUTATING_WEBHOOKS, labelled)),
    look(listAll<resources.WebhookConfiguration>(client, VALIDATING_WEBHOOKS, labelled)),
    look(listAll(client, POLICIES, { signal }).then(namesOf, undefinedIfMissing)),
    look(
      listAll<resources.PolicyBinding>(client, POLICY_BINDINGS, { signal }).then(boundBy, undefinedIfMissing),
    ),
  ]);
  const [lease, pods, agents, events, trust, authority, webhookTls, backups, schedules] = await Promise.all([
    one<Lease>(own(resources.LEASES, 'etcdguardian-controlplane')),
    look(listAll<resources.Pod>(client, resources.PODS, { namespace, ...labelled })),
    one<resources.DaemonSet>(own(resources.DAEMON_SETS, 'etcdguardian-agent')),
    look(listAll<resources.KubeEvent>(client, resources.EVENTS, { namespace, signal })),
    one<resources.DataObject>(own(resources.CONFIG_MAPS, 'etcdguardian-trust')),
    one<resources.DataObject>(own(resources.SECRETS, 'etcdguardian-authority')),
    one<resources.DataObject>(own(resources.SECRETS, 'etcdguardian-webhook-tls')),
    look(listAll<EtcdBackup>(client, ETCD_BACKUP_RESOURCE, { signal })),
    look(listAll<EtcdBackupSchedule>(client, ETCD_BACKUP_SCHEDULE_RESOURCE, { signal })),
  ]);
  return {
    ...{ namespace, server, cluster, crds, mutating, validating, policies, bound, lease, pods, agents },
    ...{ events, trust, authority, webhookTls, backups, schedules },
  };
}

/** A SelfSubjectReview needs no permission, and carries the server's time. */
async function serverFacts(client: KubeClient, clock: () => Date, signal: AbortSignal): Promise<ServerFacts> {
  const version = (await client.raw('GET', '/version', undefined, { signal })) as { gitVersion?: string };
  const facts = { url: client.server, version: version.gitVersion ?? 'unknown' };
  const sentAt = clock().getTime();
  const group = 'authentication.k8s.io';
  try {
    const answer = await client.create<SelfReview>(
      { group, version: 'v1', plural: 'selfsubjectreviews' },
      undefined,
      { apiVersion: `${group}/v1`, kind: 'SelfSubjectReview' },
      { signal },
    );
    const made = answer.metadata?.creationTimestamp;
    // Whole seconds, cut off: on average it is half a second later there.
    const there = made === undefined || made === null ? undefined : Date.parse(made) + 500;
    const here = (sentAt + clock().getTime()) / 2;
    return {
      ...facts,
      user: answer.status?.userInfo?.username ?? 'unknown',
      clockAheadMs: there === undefined ? undefined : there - here,
    };
  } catch (error) {
    if (hasCode(error, 'kubernetes.not-found')) return { ...facts, user: 'unknown', clockAheadMs: undefined };
    throw error;
  }
}

interface SelfReview {
  readonly metadata?: { readonly creationTimestamp?: string | null };
  readonly status?: { readonly userInfo?: { readonly username?: string } };
}

async function crdOf(
  client: KubeClient,
  name: string,
  signal: AbortSignal,
): Promise<resources.CustomResourceDefinition | undefined> {
  const reference = { resource: resources.CRDS, name: `${name}.etcdguardian.io` };
  return client.get<resources.CustomResourceDefinition>(reference, { signal }).catch(undefinedIfMissing);
}

function undefinedIfMissing(error: unknown): undefined {
  if (!hasCode(error, 'kubernetes.not-found')) throw error;
}

function uidOf({ metadata }: KubeObject): string {
  return metadata.uid ?? '';
}

function namesOf(objects: readonly KubeObject[]): readonly string[] | undefined {
  return objects.map(({ metadata }) => metadata.name);
}

function boundBy(bindings: readonly resources.PolicyBinding[]): readonly string[] | undefined {
  return bindings.map(({ spec }) => spec?.policyName ?? '');
}
