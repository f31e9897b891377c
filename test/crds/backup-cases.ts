import { ALICE, type Case, type Change, type Fields, S3 } from './cases.ts';

const backup = (fields: Fields): Fields => ({ backupMode: 'Full', storageLocation: S3, ...fields });
const stored = (fields: Fields): Fields =>
  backup({ storageLocation: { provider: 'S3', bucket: 'backups', ...fields } });
const hook = (fields: Fields = {}): Fields => ({
  name: 'flush',
  type: 'Exec',
  exec: { command: ['sync'] },
  ...fields,
});

const FULL = {
  schedule: '*/15 0-6 1,15 JAN-MAR mon',
  backupMode: 'Incremental',
  etcdEndpoints: ['https://etcd-0:2379', 'etcd-1:2379', 'https://[fd00::1]:2379'],
  etcdCertificates: { ca: 'etcd-ca', cert: 'etcd-client/tls.crt', key: 'etcd-client/tls.key' },
  storageLocation: { ...S3, prefix: 'prod/etcd', endpoint: 'https://minio.example.com:9000' },
  encryption: { enabled: true, kmsKeyID: 'arn:aws:kms:eu-west-1:1:key/a', encryptionSecret: 'key' },
  retentionPolicy: { maxBackups: 7, maxAge: '1h30m' },
  validation: { enabled: true, consistencyCheck: true },
  veleroIntegration: { enabled: true },
  namespaceSelector: {
    matchLabels: { team: 'a' },
    matchExpressions: [
      { key: 'example.com/tier', operator: 'In', values: ['gold'] },
      { key: 'gone', operator: 'DoesNotExist' },
    ],
  },
  hooks: { preBackup: [hook()], postBackup: [hook({ timeoutSeconds: 5 }), hook({ name: 'tell' })] },
  deletionPolicy: 'Delete',
  requestedBy: ALICE,
};

export const BACKUP_CASES: readonly Case[] = [
  { what: 'the least', spec: backup({}) },
  { what: 'everything', spec: FULL },
  {
    what: 'nothing',
    spec: {},
    refused: /(?=.*spec\.backupMode: Required).*spec\.storageLocation: Required/s,
  },
  {
    what: 'an unknown field',
    spec: backup({ bakcupMode: 'Full' }),
    refused: /unknown field "spec\.bakcupMode"/,
  },
  {
    what: 'an unknown mode',
    spec: backup({ backupMode: 'full' }),
    refused: /spec\.backupMode: Unsupported value: "full"/,
  },

  ...['', '@hourly', '0 2 * * *', '0 2 * * 1-5', '0  2  * * *'].map((schedule) => ({
    what: `schedule "${schedule}"`,
    spec: backup({ schedule }),
  })),
  ...['daily', '@every 5m', '0 2 * *', '0 0 2 * * *', 'TZ=UTC 0 2 * * *', '0 2 * * *\n'].map((schedule) => ({
    what: `schedule ${JSON.stringify(schedule)}`,
    spec: backup({ schedule }),
    refused: /spec\.schedule: Invalid value/,
  })),
  { what: 'a long name', name: 'n'.repeat(63), spec: backup({}) },
  { what: 'a longer name', name: 'n'.repeat(64), spec: backup({}), refused: /at most 63 characters/ },
  { what: 'a long name with a schedule', name: 'n'.repeat(47), spec: backup({ schedule: '@daily' }) },
  {
    what: 'a longer name with a schedule',
    name: 'n'.repeat(48),
    spec: backup({ schedule: '@daily' }),
    refused: /at most 47 characters/,
  },

  {
    what: 'no bucket',
    spec: backup({ storageLocation: { provider: 'GCS' } }),
    refused: /storageLocation\.bucket: Required/,
  },
  {
    what: 'no provider',
    spec: backup({ storageLocation: { bucket: 'b' } }),
    refused: /storageLocation\.provider: Required/,
  },
  {
    what: 'an unknown provider',
    spec: stored({ provider: 'MinIO' }),
    refused: /provider: Unsupported value: "MinIO"/,
  },
  ...['S3', 'OSS'].flatMap((provider) => [
    {
      what: `${provider} without a region`,
      spec: stored({ provider }),
      refused: /region is required for S3 and OSS/,
    },
    {
      what: `${provider} with an empty region`,
      spec: stored({ provider, region: '' }),
      refused: /region is required/,
    },
    { what: `${provider} with a region`, spec: stored({ provider, region: 'cn-hangzhou' }) },
  ]),
  ...['GCS', 'Azure'].map((provider) => ({
    what: `${provider} without a region`,
    spec: stored({ provider }),
  })),
  ...['a/b', '../etc', '/var', 'a b', '-a', 'b.'].map((bucket) => ({
    what: `bucket "${bucket}"`,
    spec: stored({ provider: 'GCS', bucket }),
    refused: /bucket is a name of letters/,
  })),
  { what: 'a folder on the node', spec: stored({ provider: 'Local', bucket: '/var/backups' }) },
  ...['backups', '/var/../etc', '/./var'].map((bucket) => ({
    what: `folder "${bucket}"`,
    spec: stored({ provider: 'Local', bucket }),
    refused: /for Local, bucket is the absolute path/,
  })),
  ...[{ region: 'r' }, { endpoint: 'https://a' }, { credentialsSecret: 's' }].map((extra) => ({
    what: `a folder with ${Object.keys(extra).join()}`,
    spec: stored({ provider: 'Local', bucket: '/var/backups', ...extra }),
    refused: /a Local folder has no region, endpoint or credentialsSecret/,
  })),
  ...['/etc', 'a/../b', '.', '..'].map((prefix) => ({
    what: `prefix "${prefix}"`,
    spec: stored({ provider: 'GCS', prefix }),
    refused: /prefix is a relative path/,
  })),
  {
    what: 'prefix "a b"',
    spec: stored({ provider: 'GCS', prefix: 'a b' }),
    refused: /storageLocation\.prefix: Invalid value/,
  },
  ...['prod', 'prod/etcd/', 'a..b', ''].map((prefix) => ({
    what: `prefix "${prefix}"`,
    spec: stored({ provider: 'GCS', prefix }),
  })),
  ...['minio:9000', 'ftp://a', 'https://a/b', 'https://user@a', 'https://a?b', 'https://a b'].map(
    (endpoint) => ({
      what: `endpoint "${endpoint}"`,
      spec: stored({ provider: 'GCS', endpoint }),
      refused: /storageLocation\.endpoint: Invalid value/,
    }),
  ),
  {
    what: 'a Secret of another namespace',
    spec: stored({ provider: 'GCS', credentialsSecret: 'ns/name' }),
    refused: /credentialsSecret: Invalid value/,
  },

  ...['https://a/b', 'ftp://a', 'https://user:pw@a', '', 'a b'].map((endpoint) => ({
    what: `etcd at "${endpoint}"`,
    spec: backup({ etcdEndpoints: [endpoint] }),
    refused: /spec\.etcdEndpoints\[0\]: Invalid value|spec\.etcdEndpoints\[0\] in body should be at least/,
  })),
  {
    what: 'etcd twice',
    spec: backup({ etcdEndpoints: ['https://a', 'https://a'] }),
    refused: /Duplicate value/,
  },
  {
    what: 'certificates for plain http',
    spec: backup({ etcdEndpoints: ['http://a:2379'], etcdCertificates: { ca: 'ca' } }),
    refused: /must be https/,
  },
  { what: 'plain http', spec: backup({ etcdEndpoints: ['http://a:2379'] }) },
  {
    what: 'a certificate without its key',
    spec: backup({ etcdCertificates: { cert: 'a' } }),
    refused: /needs its key/,
  },
  {
    what: 'a key without its certificate',
    spec: backup({ etcdCertificates: { key: 'a' } }),
    refused: /needs its key/,
  },
  { what: 'a CA alone', spec: backup({ etcdCertificates: { ca: 'a/ca.pem' } }) },
  {
    what: 'a certificate in a path',
    spec: backup({ etcdCertificates: { ca: '../a' } }),
    refused: /etcdCertificates\.ca: Invalid/,
  },

  {
    what: 'encryption without a key',
    spec: backup({ encryption: { enabled: true } }),
    refused: /encryption needs a key/,
  },
  { what: 'a key for later', spec: backup({ encryption: { encryptionSecret: 'key' } }) },
  ...['kmsKeyID', 'encryptionSecret'].map((key) => ({
    what: `encryption with ${key}`,
    spec: backup({ encryption: { enabled: true, [key]: 'key' } }),
  })),

  {
    what: 'no backups kept',
    spec: backup({ retentionPolicy: { maxBackups: 0 } }),
    refused: /maxBackups.*greater than or equal to 1/,
  },
  ...['720h', '1h30m', '0.5h', '90s', '60s'].map((maxAge) => ({
    what: `age ${maxAge}`,
    spec: backup({ retentionPolicy: { maxAge } }),
  })),
  ...['30d', '720', 'h', '-1h', ''].map((maxAge) => ({
    what: `age "${maxAge}"`,
    spec: backup({ retentionPolicy: { maxAge } }),
    refused: /retentionPolicy\.maxAge: Invalid value/,
  })),
  {
    what: 'age 1s',
    spec: backup({ retentionPolicy: { maxAge: '1s' } }),
    refused: /maxAge is at least a minute/,
  },
  {
    what: 'a consistency check without validation',
    spec: backup({ validation: { enabled: false, consistencyCheck: true } }),
    refused: /consistencyCheck is a part of validation/,
  },
  { what: 'no validation', spec: backup({ validation: { enabled: false } }) },
  {
    what: 'one Velero name for many runs',
    spec: backup({ schedule: '@daily', veleroIntegration: { enabled: true, backupName: 'v' } }),
    refused: /veleroIntegration\.backupName is for a single backup/,
  },
  { what: 'a Velero name', spec: backup({ veleroIntegration: { enabled: true, backupName: 'v' } }) },

  { what: 'an empty selector', spec: backup({ namespaceSelector: {} }) },
  ...[{ operator: 'In' }, { operator: 'NotIn', values: [] }, { operator: 'Exists', values: ['a'] }].map(
    (requirement) => ({
      what: `a requirement ${JSON.stringify(requirement)}`,
      spec: backup({ namespaceSelector: { matchExpressions: [{ key: 'a', ...requirement }] } }),
      refused: /In and NotIn need values/,
    }),
  ),
  {
    what: 'an unknown operator',
    spec: backup({ namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'Like' }] } }),
    refused: /operator: Unsupported/,
  },

  {
    what: 'a hook with nothing to run',
    spec: backup({ hooks: { preBackup: [{ name: 'a', type: 'Exec' }] } }),
    refused: /needs exec\.command/,
  },
  {
    what: 'an empty command',
    spec: backup({ hooks: { postBackup: [hook({ exec: { command: [] } })] } }),
    refused: /exec\.command.*should have at least 1/,
  },
  {
    what: 'hooks of one name',
    spec: backup({ hooks: { preBackup: [hook(), hook()] } }),
    refused: /Duplicate value/,
  },
  {
    what: 'a hook of another type',
    spec: backup({ hooks: { preBackup: [hook({ type: 'HTTP' })] } }),
    refused: /type: Unsupported value/,
  },
  {
    what: 'a hook without end',
    spec: backup({ hooks: { preBackup: [hook({ timeoutSeconds: 0 })] } }),
    refused: /timeoutSeconds/,
  },
  {
    what: 'another deletion policy',
    spec: backup({ deletionPolicy: 'Orphan' }),
    refused: /deletionPolicy: Unsupported value/,
  },
  {
    what: 'a requester without a name',
    spec: backup({ requestedBy: { uid: '1' } }),
    refused: /requestedBy\.username: Required/,
  },
];

const scheduled = backup({ schedule: '@daily', requestedBy: ALICE });
const IMMUTABLE = /a backup without a schedule can't be changed/;

export const BACKUP_CHANGES: readonly Change[] = [
  {
    what: 'a single backup gets a schedule',
    before: backup({}),
    after: backup({ schedule: '@daily' }),
    refused: /neither added nor removed/,
  },
  {
    what: 'a schedule goes',
    before: scheduled,
    after: backup({ requestedBy: ALICE }),
    refused: /neither added nor removed/,
  },
  {
    what: 'a schedule is emptied',
    before: scheduled,
    after: { ...scheduled, schedule: '' },
    refused: /neither added nor removed/,
  },
  { what: 'a schedule changes', before: scheduled, after: { ...scheduled, schedule: '@hourly' } },
  {
    what: 'a scheduled backup keeps more',
    before: scheduled,
    after: { ...scheduled, retentionPolicy: { maxBackups: 9 } },
  },
  {
    what: 'an edit is stamped anew',
    before: scheduled,
    after: { ...scheduled, schedule: '@hourly', requestedBy: { username: 'bob' } },
  },
  {
    what: 'a stamp is removed',
    before: scheduled,
    after: backup({ schedule: '@daily' }),
    refused: /requestedBy can't be removed/,
  },
  { what: 'nothing changes', before: backup({ requestedBy: ALICE }), after: backup({ requestedBy: ALICE }) },
  {
    what: 'defaults are spelled out',
    before: backup({}),
    after: backup({ deletionPolicy: 'Retain', validation: { enabled: true } }),
  },
  ...[
    { backupMode: 'Incremental' },
    { storageLocation: { ...S3, bucket: 'other' } },
    { deletionPolicy: 'Delete' },
    { requestedBy: { ...ALICE, username: 'mallory' } },
    { requestedBy: { ...ALICE, extra: {} } },
    { namespaceSelector: { matchLabels: { team: 'b' } } },
    { hooks: { preBackup: [hook()] } },
  ].map((change) => ({
    what: `a single backup's ${Object.keys(change).join()} changes`,
    before: backup({ requestedBy: ALICE }),
    after: backup({ requestedBy: ALICE, ...change }),
    refused: IMMUTABLE,
  })),
];
