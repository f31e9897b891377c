import { type Attack, HOOK, own, stored, template } from './attack.ts';
import { CLUSTER_BACKUP, S3 } from '../harness/admission-scene.ts';

const NO_SECRET = { provider: 'S3', bucket: 'backups', region: 'eu-west-1' };
const restore = (fields: object): object => ({ restoreMode: 'Full', namespaceFilter: ['team-a'], ...fields });
const placed = (snapshotLocation: string, fields: object = {}): object =>
  restore({ snapshotLocation, storageLocation: S3, ...fields });

const BACKUP_ALL = /may not backup etcdclusters\.etcdguardian\.io/;
const RESTORE_ALL = /may not restore etcdclusters\.etcdguardian\.io/;

const ADDRESSES = [
  ...['http://169.254.169.254', 'http://2852039166', 'http://0xa9fea9fe', 'http://0251.0376.0251.0376'],
  ...['http://[::ffff:169.254.169.254]', 'http://[::ffff:a9fe:a9fe]', 'http://[fd00:ec2::254]'],
  ...['http://100.100.100.200', 'http://0.0.0.0', 'http://[::]', 'http://[fe80::1]', 'http://224.0.0.1'],
];
const INSIDE = [
  ...['http://127.0.0.1:2379', 'http://2130706433', 'http://0x7f.1', 'http://017700000001', 'http://127.1'],
  ...[
    'http://[::1]',
    'http://[::ffff:127.0.0.1]',
    'https://localhost',
    'https://LOCALHOST.',
    'https://10.0.0.1',
  ],
  ...['https://192.168.0.1', 'https://kubernetes.default.svc', 'https://minio.example.com.evil.org'],
  ...[
    'https://metadata.google.internal',
    'https://[fd00::1]',
    'https://evil.example',
    'https://10.98.255.255',
  ],
];

/** Rights that he doesn't have. */
export const RIGHTS_ATTACKS: readonly Attack[] = [
  {
    what: 'asks for a drill of whatever he has',
    spec: own({}),
    metadata: { annotations: { 'etcdguardian.io/drill': 'now' } },
    refused: RESTORE_ALL,
    floor: true,
  },
  {
    what: 'asks for a drill of each run of a schedule',
    kind: 'EtcdBackupSchedule',
    spec: template(own({}), { annotations: { 'etcdguardian.io/drill': 'now' } }),
    refused: RESTORE_ALL,
    floor: true,
  },
  // The whole cluster.
  { what: 'backs up the whole cluster', spec: CLUSTER_BACKUP, refused: BACKUP_ALL, floor: true },
  {
    what: 'the same by an empty selector',
    spec: own({ namespaceSelector: {} }),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'the same by a selector of empty parts',
    spec: own({ namespaceSelector: { matchLabels: {}, matchExpressions: [] } }),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'the same by a schedule',
    kind: 'EtcdBackupSchedule',
    spec: template(CLUSTER_BACKUP),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'selects whatever namespace there is',
    spec: own({
      namespaceSelector: { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'Exists' }] },
    }),
    refused: /get and list pods, configmaps, secrets in namespace default/,
  },
  {
    what: "selects another's namespace",
    spec: own({ namespaceSelector: { matchLabels: { team: 'team-b' } } }),
    refused: /namespace team-b/,
  },
  {
    what: "selects his and another's",
    kind: 'EtcdBackupSchedule',
    spec: template(
      own({
        namespaceSelector: {
          matchExpressions: [{ key: 'team', operator: 'In', values: ['team-a', 'team-b'] }],
        },
      }),
    ),
    refused: /namespace team-b/,
  },
  {
    what: 'puts a selector into a value',
    spec: own({ namespaceSelector: { matchLabels: { team: 'team-a),team in (team-b' } } }),
    refused: /is no value of a label/,
  },
  {
    what: 'puts a selector into a key',
    spec: own({ namespaceSelector: { matchExpressions: [{ key: 'team=x,!team', operator: 'Exists' }] } }),
    refused: /is no name of a label/,
  },

  // Secrets and identities.
  {
    what: "names another namespace's Secret",
    spec: stored({ credentialsSecret: 'team-b/keys' }),
    refused: /credentialsSecret/,
    floor: true,
  },
  {
    what: 'names a Secret that he may not read',
    by: 'viewer',
    spec: own({ namespaceSelector: { matchLabels: { team: 'nobody' } } }),
    refused: /may not get secrets "keys" in namespace team-a/,
    floor: true,
  },
  {
    what: 'names a key that he may not read',
    by: 'viewer',
    spec: own({ encryption: { enabled: true, encryptionSecret: 'master-key' } }),
    refused: /get secrets "master-key" in namespace team-a/,
    floor: true,
  },
  {
    what: 'names no Secret, to borrow our identity',
    spec: own({ storageLocation: NO_SECRET }),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'borrows our identity at the key service',
    spec: own({ encryption: { enabled: true, kmsKeyID: 'arn:aws:kms:eu-west-1:1:key/a' } }),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'lets us make a backup by Velero',
    spec: own({ veleroIntegration: { enabled: true } }),
    refused: /may not create backups\.velero\.io in namespace velero/,
  },

  // The host.
  {
    what: 'writes into a folder of the node',
    spec: own({ storageLocation: { provider: 'Local', bucket: '/etc/kubernetes/manifests' } }),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'names an etcd',
    spec: own({ etcdEndpoints: ['https://127.0.0.1:2379'] }),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'names certificates of etcd',
    spec: own({ etcdCertificates: { ca: 'ca' } }),
    refused: BACKUP_ALL,
    floor: true,
  },
  {
    what: 'runs commands on nodes',
    spec: own({ hooks: { preBackup: [HOOK] } }),
    refused: /may not exec etcdclusters/,
    floor: true,
  },
  {
    what: 'runs commands on nodes by a restore',
    kind: 'EtcdRestore',
    spec: restore({ backupName: 'own', postRestoreHooks: [HOOK] }),
    refused: /may not exec etcdclusters/,
    floor: true,
  },
  {
    what: 'names a data dir',
    kind: 'EtcdRestore',
    spec: restore({ backupName: 'own', etcdCluster: { dataDir: '/etc/kubernetes' } }),
    refused: RESTORE_ALL,
    floor: true,
  },
  ...ADDRESSES.map((endpoint) => ({
    what: `lets us ask ${endpoint}`,
    spec: stored({ endpoint }),
    refused: /endpoint leads to a (metadata|unspecified|link-local|reserved) address/,
  })),
  ...INSIDE.map((endpoint) => ({
    what: `lets us ask ${endpoint}`,
    spec: stored({ endpoint }),
    refused: /endpoint \S+ is not among those that tenants may use/,
  })),

  // Restores.
  {
    what: 'restores the whole cluster',
    kind: 'EtcdRestore',
    spec: restore({ backupName: 'gone', namespaceFilter: [] }),
    refused: RESTORE_ALL,
  },
  {
    what: "restores an administrator's backup as a whole",
    kind: 'EtcdRestore',
    spec: restore({ backupName: 'admins', namespaceFilter: [] }),
    refused: RESTORE_ALL,
  },
  {
    what: "restores into another's namespace",
    kind: 'EtcdRestore',
    spec: restore({ backupName: 'own', namespaceFilter: ['team-a', 'team-b'] }),
    refused: /may not create etcdrestores\.etcdguardian\.io in namespace team-b/,
  },
  {
    what: "names another namespace's backup",
    kind: 'EtcdRestore',
    spec: restore({ backupName: 'team-b/own' }),
    refused: /backupName/,
    floor: true,
  },
  {
    what: 'restores from a backup that he may not see',
    kind: 'EtcdRestore',
    by: 'restorer',
    spec: restore({ backupName: 'own' }),
    refused: /may not get etcdbackups\.etcdguardian\.io "own"/,
  },
  {
    what: 'restores from a place without saying what it holds',
    kind: 'EtcdRestore',
    spec: placed('s3://evil/x', { namespaceFilter: [] }),
    refused: RESTORE_ALL,
  },
  {
    what: 'restores from a folder of the node',
    kind: 'EtcdRestore',
    spec: placed('file:///etc'),
    refused: RESTORE_ALL,
  },
  ...[
    's3://b/../../etc',
    's3://b/%2e%2e/x',
    's3://b/x?ca=/etc/shadow',
    's3://key:secret@b/x',
    's3://b/x#y',
    'gopher://b/x',
  ].map((place) => ({
    what: `restores from ${place}`,
    kind: 'EtcdRestore' as const,
    spec: placed(place),
    refused: /spec\.snapshotLocation/,
  })),
  {
    what: 'restores from a server inside',
    kind: 'EtcdRestore',
    spec: placed('s3://b/x?endpoint=http://127.0.0.1:2379'),
    refused: /endpoint \S+ is not among those/,
  },
  {
    what: 'restores from a metadata service',
    kind: 'EtcdRestore',
    spec: placed('s3://b/x?endpoint=http://2852039166'),
    refused: /endpoint leads to a metadata address/,
  },
];
