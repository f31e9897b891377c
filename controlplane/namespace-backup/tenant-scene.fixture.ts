import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { eventually } from '../../test/harness/eventually.ts';
import { type KubeApiServer, startKubeApiServer } from '../../test/harness/kube-apiserver.ts';
import { type S3Server, startS3Server } from '../../test/harness/s3.ts';
import { temporaryFolder, type TemporaryFolder } from '../../test/harness/temporary-folder.ts';
import { auditLog } from '../../lib/audit-log.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupSpec, Requester } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { EtcdRestoreSpec } from '../../lib/kubernetes/api/etcd-restore-spec.ts';
import { connectKube, type KubeConnection } from '../../lib/kubernetes/connect-kube.ts';
import { judgeRights } from '../../lib/kubernetes/rights/judge-rights.ts';
import type { AgentDirectory } from '../agents/agent-directory.ts';
import type { BackupOutcome } from '../backup/backup-run.ts';
import { rightsSettings } from '../judge-asked.ts';
import { parseSnapshotLocation } from '../backup/snapshot-location.ts';
import { recordedLog } from '../installation.fixture.ts';
import { controlPlaneMetrics } from '../metrics.ts';
import {
  type NamespaceRestoreOutcome,
  runNamespaceRestore,
} from '../namespace-restore/run-namespace-restore.ts';
import { controlPlaneSettings } from '../settings.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { runNamespaceBackup } from './run-namespace-backup.ts';

export const ALICE: Requester = { username: 'alice', groups: ['system:authenticated', 'team-a'] };
export const BOB: Requester = { username: 'bob', groups: ['system:authenticated'] };
export const ROOT: Requester = { username: 'root', groups: ['system:masters'] };

export const KEYS = {
  encryption: Buffer.alloc(32, 7),
  encryptionFrom: 'Secret team-a/key',
  signing: Buffer.alloc(0),
};

/** A real API server with Secrets encrypted at rest, its etcd, a store, and two teams with a namespace each. */
export interface TenantScene extends AsyncDisposable {
  readonly server: KubeApiServer;
  readonly kube: KubeConnection;
  readonly s3: S3Server;
  readonly folder: TemporaryFolder;
  readonly tools: ControlPlaneTools;
  readonly location: EtcdBackupSpec['storageLocation'];
  /** As the control plane runs it, by an etcd that has no agent. */
  backUp(by: Requester, spec?: Partial<EtcdBackupSpec>, operation?: string): Promise<BackupOutcome>;
  /** From where a backup's status says; `from` undefined: nowhere. */
  restore(
    by: Requester,
    from: string,
    spec?: Partial<EtcdRestoreSpec>,
    uid?: string,
    changed?: Partial<Pick<ControlPlaneTools, 'agents' | 'kube'>>,
  ): Promise<NamespaceRestoreOutcome>;
  apply(...objects: readonly object[]): Promise<void>;
}

export async function startTenantScene(): Promise<TenantScene> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const encryption = folder.join('encryption.json');
  await writeFile(encryption, JSON.stringify(ENCRYPTION));
  const [server, s3] = await Promise.all([
    startKubeApiServer({ args: [`--encryption-provider-config=${encryption}`] }),
    startS3Server(),
  ]);
  stack.use(server);
  stack.use(s3);
  await s3.createBucket('backups');
  const kube = stack.use(
    await connectKube({ kubeconfig: server.kubeconfig, env: {}, perSecond: 1000, burst: 1000 }),
  );
  const system = await kube.get({
    resource: { group: '', version: 'v1', plural: 'namespaces' },
    name: 'kube-system',
  });
  const { log } = recordedLog();
  const tools: ControlPlaneTools = {
    ...{ kube, namespace: 'etcd-guardian-system', pod: { name: 'test', uid: undefined } },
    ...{ cluster: system.metadata.uid ?? '', clock: () => new Date(), random: Math.random, log },
    ...{ audit: auditLog(log), events: { normal: () => undefined, warning: () => undefined } },
    ...{ agents: NO_AGENTS, metrics: controlPlaneMetrics() },
    settings: controlPlaneSettings({}, { spoolDir: folder.join('spool'), allowedEndpoints: '127.0.0.1' }),
    leadership: { leading: true, requireLeading: () => undefined, verify: () => Promise.resolve() },
    credentials: { current: () => Promise.reject(new Error('no agents here')), complaint: undefined },
    signingKeyFile: () => Promise.resolve(new Uint8Array()),
  };
  const location: EtcdBackupSpec['storageLocation'] = {
    ...{ provider: 'S3', bucket: 'backups', prefix: 'team-a', region: s3.region, endpoint: s3.endpoint },
    credentialsSecret: 's3',
  };
  const secrets = {
    store: {
      values: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
      from: 'Secret team-a/s3',
    },
    keys: KEYS,
    etcdTls: undefined,
  };
  const { signal } = new AbortController();
  const apply = async (...objects: readonly object[]): Promise<void> => {
    const file = folder.join(`${randomUUID()}.json`);
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    await server.kubectl('apply', '-f', file);
  };
  await apply(WIDGETS, ...RIGHTS);
  await eventually('widgets are served', async () => {
    const { status } = await server.request('GET', '/apis/example.com/v1/widgets');
    return status === 200;
  });
  const moved = stack.move();
  return {
    ...{ server, kube, s3, folder, tools, location, apply },
    async backUp(requestedBy, changes = {}, operation = randomUUID()) {
      const spec: EtcdBackupSpec = {
        ...{ backupMode: 'Full', storageLocation: location, deletionPolicy: 'Retain', requestedBy },
        ...{ encryption: { enabled: true }, validation: { enabled: true, consistencyCheck: false } },
        ...{
          veleroIntegration: { enabled: false },
          namespaceSelector: { matchLabels: { team: 'a' } },
          ...changes,
        },
      };
      const backup: EtcdBackup = {
        ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup' },
        ...{ metadata: { name: 'b', namespace: 'team-a', uid: operation }, spec },
      };
      const asked = { kind: 'EtcdBackup', namespace: 'team-a', spec } as const;
      const judgement = await judgeRights(kube, requestedBy, asked, rightsSettings(tools), signal);
      // Which etcd it is, is the controller's business.
      const direct = { ...backup, spec: { ...spec, etcdEndpoints: [server.etcd.endpoint] } };
      return runNamespaceBackup({
        ...{ backup: direct, operation, secrets, judgement, labels: { scope: 'x' }, tools, signal },
        ...{ onProgress: () => undefined, record: () => Promise.resolve() },
      });
    },
    async restore(requestedBy, from, changes = {}, uid = randomUUID(), changed = {}) {
      const restore: EtcdRestore = {
        ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdRestore' },
        metadata: { name: `r-${uid.slice(0, 8)}`, namespace: 'team-a', uid },
        spec: {
          ...{ snapshotLocation: from, storageLocation: location, restoreMode: 'Full', quiesceCluster: true },
          ...{ versionCompatibility: { check: true, allowMismatch: false }, conflictPolicy: 'Fail' },
          ...{ dryRun: false, requestedBy, ...changes },
        },
      };
      return runNamespaceRestore({
        ...{ restore, place: parseSnapshotLocation(from), storageLocation: location, secrets },
        ...{ source: undefined, tools: { ...tools, ...changed }, signal, onProgress: () => undefined },
      });
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

const noAgent = (): never => {
  throw new GuardianError('controlplane.no-agent', 'there are no agents here');
};

/** A cluster whose etcd has no agent beside it. */
const NO_AGENTS: AgentDirectory = {
  list: () => [],
  survey: () => Promise.resolve([]),
  describe: async () => Promise.resolve(noAgent()),
  choose: () => Promise.reject(new GuardianError('controlplane.no-agent', 'there are no agents here')),
  client: noAgent,
  withTerm: async () => Promise.resolve(noAgent()),
  onChange: () => () => undefined,
};

const ENCRYPTION = {
  ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration' },
  resources: [
    {
      resources: ['secrets'],
      providers: [
        { aescbc: { keys: [{ name: 'k1', secret: Buffer.alloc(32, 1).toString('base64') }] } },
        { identity: {} },
      ],
    },
  ],
};

const WIDGETS = {
  ...{ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
  metadata: { name: 'widgets.example.com' },
  spec: {
    ...{
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
    },
    versions: [
      {
        ...{ name: 'v1', served: true, storage: true },
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

const rbac = 'rbac.authorization.k8s.io';

function bound(user: string, role: string, namespace?: string): object {
  return {
    ...{ apiVersion: `${rbac}/v1`, kind: namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding' },
    metadata: { name: `${user}-${role}`, ...(namespace === undefined ? {} : { namespace }) },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: rbac, kind: 'User', name: user }],
  };
}

function role(
  name: string,
  ...rules: readonly (readonly [group: string, resources: string, verbs: string])[]
): object {
  return {
    ...{ apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name } },
    rules: rules.map(([group, resources, verbs]) => ({
      ...{ apiGroups: [group], resources: resources.split(' '), verbs: verbs.split(' ') },
    })),
  };
}

const ALL = 'get list watch create update patch delete';

/** Alice has everything in team-a but Leases and LimitRanges, and may restore it also when it is gone. */
const RIGHTS: readonly object[] = [
  ...['a', 'b'].map((team) => ({
    ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `team-${team}`, labels: { team } } },
  })),
  role(
    'tenant',
    ['', 'pods configmaps secrets services serviceaccounts persistentvolumeclaims', ALL],
    ['apps', 'deployments replicasets statefulsets', ALL],
    ['batch', 'jobs', ALL],
    [rbac, 'roles rolebindings', ALL],
    ['example.com', 'widgets', ALL],
    ['etcdguardian.io', 'etcdrestores', ALL],
  ),
  role('own-namespace', ['', 'namespaces', 'get create']),
  bound('alice', 'tenant', 'team-a'),
  bound('alice', 'own-namespace'),
  bound('bob', 'tenant', 'team-b'),
];
