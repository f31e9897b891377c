import { stringify } from 'yaml';
import { installGuardian } from './installed-guardian.ts';
import { narrator } from './narrator.ts';
import { type RealCluster, startRealCluster } from './real-cluster.ts';

/**
 * The product as its users meet it, with kubectl: a real API server over a real etcd with TLS, an S3 server, and the three
 * processes. Everything happens in a temporary folder and on loopback, and is gone at the end.
 */
async function demo(): Promise<void> {
  narrator.chapter('A cluster: etcd 3.6 with TLS, kube-apiserver 1.36, an S3 server');
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startRealCluster());
  narrator.say(`API server ${cluster.kube.url}, bucket s3://backups at ${cluster.s3.endpoint}`);

  narrator.chapter('The product: manifests/install.yaml, its agent, control plane and webhook');
  stack.use(await installGuardian(cluster));
  await admin(cluster, 'etcdguardian', 'status');

  narrator.chapter('A team lives here: alice may do in team-a and shop what a tenant may');
  await apply(cluster, 'teams.yaml', teams(cluster), 'command');

  narrator.chapter('A backup of the whole cluster is an object');
  await apply(cluster, 'first.yaml', [backup('etcd-guardian-system', 'first', cluster)]);
  await watchUntilEnded(cluster, 'etcdbackup/first', 'etcd-guardian-system');
  await admin(cluster, 'etcdguardian', 'backup', 'show', 'first', '-n', NAMESPACE);

  narrator.chapter('Not everybody may do that');
  await cluster.file('greedy.yaml', yaml([backup('team-a', 'everything', cluster)]));
  const refused = await cluster.kubectl('alice', ['create', '-f', 'greedy.yaml']);
  if (refused.status === 0) throw new Error('a tenant backed up the whole cluster');

  narrator.chapter('But every team backs up its own namespaces, and waits for it in one command');
  const store = [
    '--store',
    's3://backups/team-a',
    '--endpoint',
    cluster.s3.endpoint,
    '--region',
    'us-east-1',
  ];
  await succeeds(cluster, 'alice', [
    ...['etcdguardian', 'backup', 'create', 'shop', '-n', 'team-a', '--namespaces', 'team=a'],
    ...[...store, '--credentials-secret', 's3-credentials', '--wait'],
  ]);

  narrator.chapter('The mistake, and its end: a namespace is deleted, and comes back');
  await admin(cluster, 'delete', 'namespace', 'shop', '--timeout=180s');
  await admin(
    cluster,
    ...['etcdguardian', 'restore', 'create', 'shop-is-back', '-n', 'team-a'],
    ...['--backup', 'shop', '--only-namespace', 'shop', '--wait'],
  );
  await admin(cluster, 'get', 'configmap,secret,role,rolebinding', '-n', 'shop');
  const currency = ['get', 'configmap', 'settings', '-n', 'shop', '-o', 'jsonpath={.data.currency}'];
  if ((await cluster.kubectl('admin', currency, { show: 'nothing' })).printed !== 'EUR')
    throw new Error('what was restored is not what was backed up');

  narrator.chapter('Backups by the clock, kept for a month');
  await apply(cluster, 'nightly.yaml', [schedule(cluster)]);

  narrator.chapter('How does it all stand?');
  await admin(cluster, 'get', 'etcdbackups', '-A', '-o', 'wide');
  await admin(cluster, 'get', 'etcdbackupschedules', '-A');
  await admin(cluster, 'etcdguardian', 'doctor');
  narrator.say('\nThat was the quick start. Next: README.md, "In a cluster".');
}

const NAMESPACE = 'etcd-guardian-system';

function backup(namespace: string, name: string, cluster: RealCluster): object {
  return {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup', metadata: { name, namespace } },
    spec: specOf(cluster),
  };
}

function schedule(cluster: RealCluster): object {
  const metadata = { name: 'nightly', namespace: NAMESPACE };
  return {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackupSchedule', metadata },
    spec: {
      ...{ schedule: '0 2 * * *', timeZone: 'Europe/Berlin' },
      backupTemplate: { spec: { ...specOf(cluster), retentionPolicy: { maxBackups: 31 } } },
    },
  };
}

function specOf({ s3 }: RealCluster): object {
  return {
    backupMode: 'Full',
    storageLocation: {
      ...{ provider: 'S3', bucket: 'backups', prefix: 'prod', region: s3.region },
      ...{ endpoint: s3.endpoint, credentialsSecret: 's3-credentials' },
    },
    validation: { enabled: true, consistencyCheck: true },
  };
}

/** alice is at home in namespace team-a; her shop is a namespace of its own. */
function teams({ s3 }: RealCluster): readonly object[] {
  const stringData = { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey };
  const group = 'rbac.authorization.k8s.io';
  const object = (
    kind: string,
    namespace: string,
    name: string,
    fields: object,
    apiVersion = 'v1',
  ): object => ({
    ...{ apiVersion, kind, metadata: { namespace, name } },
    ...fields,
  });
  const space = (name: string, labels: object): object => ({
    ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
  });
  const tenant = (namespace: string): readonly object[] => [
    object(
      ...(['Role', namespace, 'tenant'] as const),
      { rules: [{ apiGroups: ['', 'apps', 'etcdguardian.io'], resources: ['*'], verbs: ['*'] }] },
      `${group}/v1`,
    ),
    object(
      ...(['RoleBinding', namespace, 'alice'] as const),
      {
        roleRef: { apiGroup: group, kind: 'Role', name: 'tenant' },
        subjects: [{ apiGroup: group, kind: 'User', name: 'alice' }],
      },
      `${group}/v1`,
    ),
  ];
  return [
    ...[space('team-a', {}), space('shop', { team: 'a' })],
    ...[...tenant('team-a'), ...tenant('shop')],
    object('Secret', NAMESPACE, 's3-credentials', { stringData }),
    object('Secret', 'team-a', 's3-credentials', { stringData }),
    object('Secret', 'shop', 'db-password', { stringData: { password: 'correct horse' } }),
    object('ConfigMap', 'shop', 'settings', { data: { currency: 'EUR' } }),
  ];
}

/** Shows the file unless told otherwise, and applies it. */
async function apply(
  cluster: RealCluster,
  file: string,
  objects: readonly object[],
  show: 'all' | 'command' = 'all',
): Promise<void> {
  const text = yaml(objects);
  await cluster.file(file, text);
  if (show === 'all') narrator.say(`  # ${file}\n${text.replaceAll(/^(?=.)/gm, '  ').trimEnd()}`);
  await succeeds(cluster, 'admin', ['apply', '-f', file]);
}

/** `kubectl get --watch`, until it has come to an end. */
async function watchUntilEnded(cluster: RealCluster, object: string, namespace: string): Promise<void> {
  await cluster.kubectl('admin', ['get', object, '-n', namespace, '--watch'], {
    until: /\b(Completed|Failed)\b/,
  });
}

async function admin(cluster: RealCluster, ...args: readonly string[]): Promise<void> {
  await succeeds(cluster, 'admin', args);
}

async function succeeds(
  cluster: RealCluster,
  user: 'admin' | 'alice',
  args: readonly string[],
): Promise<void> {
  const { status } = await cluster.kubectl(user, args);
  if (status !== 0) throw new Error(`kubectl ${args.join(' ')} ended with status ${status}`);
}

function yaml(objects: readonly object[]): string {
  return objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n');
}

await demo();
