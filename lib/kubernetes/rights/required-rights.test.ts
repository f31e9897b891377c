import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EtcdBackupScheduleSpec } from '../api/etcd-backup-schedule-spec.ts';
import type { EtcdBackupSpec } from '../api/etcd-backup-spec.ts';
import type { EtcdRestoreSpec } from '../api/etcd-restore-spec.ts';
import {
  type Asked,
  requiredRights,
  type RestoreSource,
  type RightsSettings,
  type Surroundings,
} from './required-rights.ts';
import { rightText } from './right.ts';
import { tenantEndpoints } from './tenant-endpoints.ts';

const SETTINGS: RightsSettings = {
  tenantEndpoints: tenantEndpoints(['minio.example.com']),
  veleroNamespace: 'velero',
};
const S3 = { provider: 'S3', bucket: 'b-b', region: 'r', credentialsSecret: 'keys' } as const;
const CLUSTER_BACKUP = 'backup etcdclusters.etcdguardian.io';
const CLUSTER_RESTORE = 'restore etcdclusters.etcdguardian.io';
const EXEC = 'exec etcdclusters.etcdguardian.io';
const KEYS = 'get secrets "keys" in namespace home';
const SELECTOR = { matchLabels: { team: 'a' } };

const backup = (fields: Partial<EtcdBackupSpec> = {}): EtcdBackupSpec => ({
  backupMode: 'Full',
  storageLocation: S3,
  encryption: { enabled: false },
  validation: { enabled: true, consistencyCheck: false },
  veleroIntegration: { enabled: false },
  deletionPolicy: 'Retain',
  ...fields,
});
const restore = (fields: Partial<EtcdRestoreSpec> = {}): EtcdRestoreSpec => ({
  restoreMode: 'Full',
  quiesceCluster: true,
  versionCompatibility: { check: true, allowMismatch: false },
  conflictPolicy: 'Fail',
  dryRun: false,
  ...fields,
});
const reading = (namespace: string): string[] =>
  ['pods', 'configmaps', 'secrets'].flatMap((resource) =>
    ['get', 'list'].map((verb) => `${verb} ${resource} in namespace ${namespace}`),
  );
const HOOK = { name: 'h', type: 'Exec', exec: { command: ['true'] }, timeoutSeconds: 1 } as const;

const rightsOf = (asked: Asked, surroundings: Partial<Surroundings> = {}): string[] =>
  requiredRights(asked, { namespaces: [], source: undefined, ...surroundings }, SETTINGS).map(rightText);

describe('a backup needs', () => {
  const cases: readonly (readonly [
    what: string,
    spec: EtcdBackupSpec,
    rights: readonly string[],
    namespaces?: readonly string[],
  ])[] = [
    ['the whole cluster without a selector', backup(), [CLUSTER_BACKUP, KEYS]],
    ['the same with an empty one', backup({ namespaceSelector: {} }), [CLUSTER_BACKUP, KEYS]],
    [
      'the same with one of empty parts',
      backup({ namespaceSelector: { matchLabels: {}, matchExpressions: [] } }),
      [CLUSTER_BACKUP, KEYS],
    ],
    [
      'to read every selected namespace',
      backup({ namespaceSelector: SELECTOR }),
      [...reading('a'), ...reading('b'), KEYS],
      ['a', 'b'],
    ],
    ['its Secret even where nothing is selected', backup({ namespaceSelector: SELECTOR }), [KEYS]],
    [
      'the whole cluster for the identity of the operator',
      backup({
        namespaceSelector: SELECTOR,
        storageLocation: { provider: 'S3', bucket: 'b-b', region: 'r' },
      }),
      [CLUSTER_BACKUP],
    ],
    [
      'the same for a folder',
      backup({ namespaceSelector: SELECTOR, storageLocation: { provider: 'Local', bucket: '/b' } }),
      [CLUSTER_BACKUP],
    ],
    [
      'the same for an endpoint of its own',
      backup({ namespaceSelector: SELECTOR, storageLocation: { ...S3, endpoint: 'https://evil.example' } }),
      [CLUSTER_BACKUP, KEYS],
    ],
    [
      'nothing for an endpoint that is allowed',
      backup({
        namespaceSelector: SELECTOR,
        storageLocation: { ...S3, endpoint: 'https://minio.example.com' },
      }),
      [KEYS],
    ],
    [
      'the whole cluster for an etcd',
      backup({ namespaceSelector: SELECTOR, etcdEndpoints: ['https://e:2379'] }),
      [CLUSTER_BACKUP, KEYS],
    ],
    [
      'the same for certificates, and to read them',
      backup({
        namespaceSelector: SELECTOR,
        etcdCertificates: { ca: 'ca', cert: 'tls/a.crt', key: 'tls/a.key' },
      }),
      [CLUSTER_BACKUP, KEYS, 'get secrets "ca" in namespace home', 'get secrets "tls" in namespace home'],
    ],
    [
      'to read the key',
      backup({ namespaceSelector: SELECTOR, encryption: { enabled: true, encryptionSecret: 'k' } }),
      [KEYS, 'get secrets "k" in namespace home'],
    ],
    [
      "the whole cluster for the operator's key service, also where encryption is off",
      backup({ namespaceSelector: SELECTOR, encryption: { enabled: false, kmsKeyID: 'k' } }),
      [CLUSTER_BACKUP, KEYS],
    ],
    [
      'to run commands on nodes',
      backup({ namespaceSelector: SELECTOR, hooks: { postBackup: [HOOK] } }),
      [KEYS, EXEC],
    ],
    [
      'nothing for hooks that are none',
      backup({ namespaceSelector: SELECTOR, hooks: { preBackup: [] } }),
      [KEYS],
    ],
    [
      'to make backups by Velero',
      backup({ namespaceSelector: SELECTOR, veleroIntegration: { enabled: true } }),
      [KEYS, 'create backups.velero.io in namespace velero'],
    ],
    [
      'all namespaces where it selects more than anybody asks for one by one',
      backup({ namespaceSelector: SELECTOR }),
      [
        ...['pods', 'configmaps', 'secrets'].flatMap((resource) => [`get ${resource}`, `list ${resource}`]),
        KEYS,
      ],
      Array.from({ length: 101 }, (_, at) => `n${at}`),
    ],
  ];
  for (const [what, spec, expected, namespaces = []] of cases) {
    test(what, () => {
      assert.deepEqual(rightsOf({ kind: 'EtcdBackup', namespace: 'home', spec }, { namespaces }), expected);
    });
  }

  test('and a schedule needs what its template does', () => {
    const spec: EtcdBackupScheduleSpec = {
      schedule: '@daily',
      suspend: false,
      concurrencyPolicy: 'Forbid',
      aiOptimization: { enabled: false },
      backupTemplate: { spec: backup({ namespaceSelector: SELECTOR, hooks: { preBackup: [HOOK] } }) },
    };
    assert.deepEqual(
      rightsOf({ kind: 'EtcdBackupSchedule', namespace: 'home', spec }, { namespaces: ['a'] }),
      [...reading('a'), KEYS, EXEC],
    );
  });
});

describe('a restore needs', () => {
  const source = (fields: Partial<EtcdBackupSpec> = {}): RestoreSource => ({
    ...{ kind: 'EtcdBackup', name: 'daily' },
    spec: backup(fields),
  });
  const GET = 'get etcdbackups.etcdguardian.io "daily" in namespace home';
  const into = (namespace: string): string => `create etcdrestores.etcdguardian.io in namespace ${namespace}`;
  const PLACE = 's3://bucket/x';
  const cases: readonly (readonly [
    what: string,
    spec: EtcdRestoreSpec,
    surroundings: Partial<Surroundings>,
    rights: readonly string[],
  ])[] = [
    [
      'the whole cluster, the backup, and what reads it',
      restore({ backupName: 'daily' }),
      { source: source() },
      [CLUSTER_RESTORE, GET, KEYS],
    ],
    [
      'the whole cluster for a backup that is gone',
      restore({ backupName: 'daily' }),
      {},
      [CLUSTER_RESTORE, GET],
    ],
    [
      'its namespaces, named by a filter',
      restore({ backupName: 'daily', namespaceFilter: ['a', 'b'] }),
      { source: source() },
      [into('a'), into('b'), GET, KEYS],
    ],
    [
      'those that the selector of the backup selects',
      restore({ backupName: 'daily' }),
      { source: source({ namespaceSelector: SELECTOR }), namespaces: ['a'] },
      [into('a'), GET, KEYS],
    ],
    [
      'the whole cluster for a place, whatever a backup of that name says',
      restore({ backupName: 'daily', snapshotLocation: PLACE }),
      { source: source({ namespaceSelector: SELECTOR }) },
      [CLUSTER_RESTORE, GET, KEYS],
    ],
    [
      "the whole cluster for a place that the operator's identity reads",
      restore({ snapshotLocation: PLACE, namespaceFilter: ['a'] }),
      {},
      [into('a'), CLUSTER_RESTORE],
    ],
    [
      'the Secret for a place',
      restore({ snapshotLocation: PLACE, namespaceFilter: ['a'], storageLocation: S3 }),
      {},
      [into('a'), KEYS],
    ],
    [
      'the whole cluster for a place on a node',
      restore({ snapshotLocation: 'file:///b', namespaceFilter: ['a'], storageLocation: S3 }),
      {},
      [into('a'), CLUSTER_RESTORE, KEYS],
    ],
    [
      'the whole cluster for an etcd',
      restore({ backupName: 'daily', namespaceFilter: ['a'], etcdCluster: {} }),
      { source: source() },
      [into('a'), CLUSTER_RESTORE, GET, KEYS],
    ],
    [
      "the whole cluster where the backup used the operator's identity",
      restore({ backupName: 'daily', namespaceFilter: ['a'] }),
      { source: source({ storageLocation: { provider: 'S3', bucket: 'b-b', region: 'r' } }) },
      [into('a'), GET, CLUSTER_RESTORE],
    ],
    [
      'to run commands on nodes',
      restore({ backupName: 'daily', namespaceFilter: ['a'], preRestoreHooks: [HOOK] }),
      { source: source() },
      [into('a'), GET, KEYS, EXEC],
    ],
    [
      'every backup, where the name is that of a schedule',
      restore({ backupName: 'daily', namespaceFilter: ['a'] }),
      { source: { ...source(), kind: 'EtcdBackupSchedule' } },
      [
        ...[into('a'), 'get etcdbackupschedules.etcdguardian.io "daily" in namespace home'],
        ...['get etcdbackups.etcdguardian.io in namespace home', KEYS],
      ],
    ],
    [
      'the same for a backup with a schedule',
      restore({ backupName: 'daily', namespaceFilter: ['a'] }),
      { source: source({ schedule: '@daily' }) },
      [into('a'), 'get etcdbackups.etcdguardian.io in namespace home', KEYS],
    ],
  ];
  for (const [what, spec, surroundings, expected] of cases) {
    test(what, () => {
      assert.deepEqual(rightsOf({ kind: 'EtcdRestore', namespace: 'home', spec }, surroundings), expected);
    });
  }
});
