import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { createAuthority } from '../../lib/pki/authority.ts';
import { saveCredentials } from '../../lib/pki/credential-folder.ts';
import { credentialsFor, SCOPE, WEBHOOK } from '../../lib/pki/installation.fixture.ts';
import { startWebhook } from './admission-webhook.ts';
import { eventually } from './eventually.ts';
import {
  type KubeApiServer,
  type KubeApiServerOptions,
  type KubeUser,
  startKubeApiServer,
} from './kube-apiserver.ts';
import type { ApiRequest, ApiResponse } from './kube-request.ts';
import { temporaryFolder } from './temporary-folder.ts';

export const OUR_NAMESPACE = 'etcd-guardian-system';
export const CONTROL_PLANE = `system:serviceaccount:${OUR_NAMESPACE}:etcdguardian-controlplane`;
export const WEBHOOK_ACCOUNT = `system:serviceaccount:${OUR_NAMESPACE}:etcdguardian-webhook`;
const MANIFESTS = join(import.meta.dirname, '..', '..', 'manifests');

/** Users beside `admin`: two tenants with a namespace each, one who may only look, our own accounts. */
const USERS: readonly KubeUser[] = [
  { name: 'alice', groups: ['team-a'] },
  { name: 'bob', groups: ['team-b'] },
  { name: 'viewer' },
  { name: CONTROL_PLANE, groups: ['system:serviceaccounts', `system:serviceaccounts:${OUR_NAMESPACE}`] },
  { name: WEBHOOK_ACCOUNT, groups: ['system:serviceaccounts'] },
];

export interface AdmissionScene extends AsyncDisposable {
  readonly kube: KubeApiServer;
  /** The lines of the webhook's log, parsed. */
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly pages: string;
  /** Its process; ours, unless it has its own. */
  readonly webhook: number;
  /** Where it answers reviews. */
  readonly hooks: string;
  /** A request to the API server as this user. */
  as(user: string, method: string, path: string, options?: ApiRequest): Promise<ApiResponse>;
  stopWebhook(): Promise<void>;
  removeWebhookConfigurations(): Promise<void>;
}

export interface SceneOptions extends KubeApiServerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Without the webhook's registration. */
  readonly unregistered?: boolean;
  /** The webhook is a process of its own, with these flags of Node; for measuring it. */
  readonly node?: readonly string[];
  /** Default true: not on API servers that have none. */
  readonly policies?: boolean;
}

/**
 * A real API server with the resources of manifests/, namespaces team-a and team-b whose tenants may do there what
 * etcd-tenant-operator and `edit` allow, and the webhook of this program, registered by its URL.
 */
export async function startAdmissionScene(options: SceneOptions = {}): Promise<AdmissionScene> {
  await using stack = new AsyncDisposableStack();
  const kube = stack.use(
    await startKubeApiServer({ ...options, users: [...USERS, ...(options.users ?? [])] }),
  );
  await kube.kubectl('apply', '--server-side', '-f', join(MANIFESTS, 'crds'));
  await kube.kubectl('wait', '--for=condition=Established', '--timeout=60s', '-f', join(MANIFESTS, 'crds'));
  const folder = stack.use(await temporaryFolder());
  const objects = folder.join('objects.yaml');
  await writeFile(
    objects,
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...NAMESPACES, SERVICE, ...RBAC] }),
  );
  await kube.kubectl('apply', '-f', objects, '-f', join(MANIFESTS, 'admission', 'flow-schema.yaml'));

  // The webhook, with the rights of its own account only.
  const authority = await createAuthority(SCOPE, new Date());
  await saveCredentials(
    folder.join('tls'),
    await credentialsFor(authority, WEBHOOK, { dnsNames: [`etcdguardian-webhook.${OUR_NAMESPACE}.svc`] }),
  );
  const kubeconfig = folder.join('kubeconfig');
  const admins = JSON.parse(await readFile(kube.kubeconfig, 'utf8')) as object;
  const user = { name: 'test', user: { token: kube.token(WEBHOOK_ACCOUNT) } };
  await writeFile(kubeconfig, JSON.stringify({ ...admins, users: [user] }), { mode: 0o600 });
  const webhook = stack.use(
    await startWebhook(
      {
        ETCDGUARDIAN_KUBECONFIG: kubeconfig,
        ETCDGUARDIAN_LISTEN_HOST: '127.0.0.1',
        ETCDGUARDIAN_WEBHOOK_PORT: '0',
        ETCDGUARDIAN_PAGES_PORT: '0',
        ETCDGUARDIAN_TLS_DIR: folder.join('tls'),
        ETCDGUARDIAN_DRAIN_SECONDS: '0',
        ETCDGUARDIAN_ALLOWED_ENDPOINTS: 'minio.example.com,10.99.0.0/16',
        ...options.env,
      },
      options.node,
    ),
  );

  // Registered as it is shipped, but for the port: the Service leads to this machine.
  const configurations = await Promise.all(
    ['mutating-webhook.yaml', 'validating-webhook.yaml'].map(async (file) => {
      const parsed = parse(await readFile(join(MANIFESTS, 'admission', file), 'utf8')) as Configuration;
      const caBundle = Buffer.from(authority.certificate.toString()).toString('base64');
      const webhooks = parsed.webhooks.map(({ clientConfig: { service }, ...hook }) => ({
        ...hook,
        clientConfig: { service: { ...service, port: webhook.hooks }, caBundle },
      }));
      return { ...parsed, webhooks };
    }),
  );
  const registration = folder.join('webhooks.json');
  await writeFile(registration, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: configurations }));
  const as: AdmissionScene['as'] = (name, method, path, request = {}) =>
    kube.request(method, path, { token: kube.token(name), ...request });
  for (const name of ['alice', 'bob', 'viewer'])
    await untilAllowed({ as }, name, 'create', name === 'bob' ? 'team-b' : 'team-a', 'etcdbackups');
  if (options.policies !== false) {
    await kube.kubectl('apply', '-f', join(MANIFESTS, 'admission', 'policies.yaml'));
    await eventually('the policies hold', () => isGuarded(as));
  }
  if (options.unregistered !== true) {
    await kube.kubectl('apply', '-f', registration);
    await eventually('the API server asks the webhook', async () => (await isAsked(as)) === true);
  }
  const owned = stack.move();
  return {
    ...{ kube, as, log: webhook.log, webhook: webhook.pid, pages: `http://127.0.0.1:${webhook.pages}` },
    ...{ hooks: `https://127.0.0.1:${webhook.hooks}`, stopWebhook: webhook.stop },
    removeWebhookConfigurations: async () => {
      await kube.kubectl('delete', '-f', registration);
      await eventually('the API server asks nobody', async () => (await isAsked(as)) === false);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** API servers learn of roles and bindings a moment after they are made. */
export async function untilAllowed(
  scene: Pick<AdmissionScene, 'as'>,
  name: string,
  verb: string,
  namespace: string,
  resource: string,
): Promise<void> {
  const body = {
    ...{ apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' },
    spec: { resourceAttributes: { verb, namespace, group: 'etcdguardian.io', resource } },
  };
  await eventually(`${name} may ${verb} ${resource}`, async () => {
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const answer = await scene.as(name, 'POST', path, { body });
    return answer.status === 201 && (answer.body as { status: { allowed: boolean } }).status.allowed;
  });
}

/** Whether stamps are written: a dry run of a backup has one. Undefined: it fails, since nobody answers. */
async function isAsked(as: AdmissionScene['as']): Promise<boolean | undefined> {
  const name = `probe-${randomUUID()}`;
  const { body, status } = await as('admin', 'POST', `${resourcePath('etcdbackups', 'default')}?dryRun=All`, {
    body: customResource('EtcdBackup', name, CLUSTER_BACKUP),
  });
  if (status !== 201) return undefined;
  return (body as { spec: { requestedBy?: unknown } }).spec.requestedBy !== undefined;
}

/** Whether the last of the policies holds; API servers learn them in their order. */
async function isGuarded(as: AdmissionScene['as']): Promise<boolean> {
  const metadata = { finalizers: ['etcdguardian.io/stored-data'] };
  const body = customResource('EtcdBackup', 'probe', TENANT_BACKUP, metadata);
  const path = `${resourcePath('etcdbackups', 'team-a')}?dryRun=All`;
  const { status, message } = await as('alice', 'POST', path, { body });
  // Not for want of her rights, which the API server learns as late.
  return status === 403 && message.includes('ValidatingAdmissionPolicy');
}

export const S3 = { provider: 'S3', bucket: 'backups', region: 'eu-west-1', credentialsSecret: 'keys' };
export const CLUSTER_BACKUP = { backupMode: 'Full', storageLocation: S3 };
export const TENANT_BACKUP = { ...CLUSTER_BACKUP, namespaceSelector: { matchLabels: { team: 'team-a' } } };

export function resourcePath(plural: string, namespace: string, name?: string): string {
  const path = `/apis/etcdguardian.io/v1alpha1/namespaces/${namespace}/${plural}`;
  return name === undefined ? path : `${path}/${name}`;
}

export function customResource(kind: string, name: string, spec: object, metadata: object = {}): object {
  return { apiVersion: 'etcdguardian.io/v1alpha1', kind, metadata: { name, ...metadata }, spec };
}

interface Configuration {
  readonly webhooks: readonly { readonly clientConfig: { readonly service: object } }[];
}

const rbac = (kind: string, name: string, fields: object, namespace?: string): object => ({
  ...{
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind,
    metadata: { name, ...(namespace && { namespace }) },
  },
  ...fields,
});
const role = (kind: 'ClusterRole' | 'Role', name: string): object => ({
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
});
const subject = (name: string): object => ({
  subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name }],
});

const NAMESPACES = ['team-a', 'team-b', OUR_NAMESPACE].map((name) => ({
  ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { team: name } } },
}));

const SERVICE = {
  ...{
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'etcdguardian-webhook', namespace: OUR_NAMESPACE },
  },
  spec: { type: 'ExternalName', externalName: 'localhost' },
};

const RBAC: readonly object[] = [
  rbac('ClusterRole', 'etcd-tenant', {
    rules: [
      {
        apiGroups: ['etcdguardian.io'],
        resources: ['etcdbackups', 'etcdbackupschedules', 'etcdrestores'],
        verbs: ['*'],
      },
      {
        apiGroups: ['etcdguardian.io'],
        resources: ['etcdbackups/status', 'etcdrestores/status'],
        verbs: ['*'],
      },
      { apiGroups: [''], resources: ['pods', 'configmaps', 'secrets'], verbs: ['*'] },
    ],
  }),
  ...['a', 'b'].map((team) =>
    rbac(
      'RoleBinding',
      'tenant',
      { ...role('ClusterRole', 'etcd-tenant'), ...subject(team === 'a' ? 'alice' : 'bob') },
      `team-${team}`,
    ),
  ),
  rbac('ClusterRole', 'only-custom-resources', {
    rules: [
      {
        apiGroups: ['etcdguardian.io'],
        resources: ['etcdbackups', 'etcdrestores', 'etcdbackupschedules'],
        verbs: ['*'],
      },
    ],
  }),
  rbac(
    'RoleBinding',
    'viewer',
    { ...role('ClusterRole', 'only-custom-resources'), ...subject('viewer') },
    'team-a',
  ),
  rbac('ClusterRole', 'control-plane', {
    rules: [
      {
        apiGroups: ['etcdguardian.io'],
        resources: ['*'],
        verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
      },
    ],
  }),
  rbac('ClusterRoleBinding', 'control-plane', {
    ...role('ClusterRole', 'control-plane'),
    ...subject(CONTROL_PLANE),
  }),
  // What the webhook needs, and nothing else.
  rbac('ClusterRole', 'webhook', {
    rules: [
      { apiGroups: [''], resources: ['namespaces'], verbs: ['list'] },
      { apiGroups: ['etcdguardian.io'], resources: ['etcdbackups', 'etcdbackupschedules'], verbs: ['get'] },
      { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
    ],
  }),
  rbac('ClusterRoleBinding', 'webhook', { ...role('ClusterRole', 'webhook'), ...subject(WEBHOOK_ACCOUNT) }),
];
