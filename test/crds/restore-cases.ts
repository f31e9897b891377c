import { ALICE, type Case, type Change, type Fields, S3 } from './cases.ts';

const restore = (fields: Fields): Fields => ({ backupName: 'daily', restoreMode: 'Full', ...fields });
const located = (fields: Fields): Fields => ({
  snapshotLocation: 's3://b/p/x',
  restoreMode: 'Full',
  ...fields,
});

export const RESTORE_CASES: readonly Case[] = [
  { what: 'the least', spec: restore({}) },
  {
    what: 'everything',
    spec: {
      snapshotLocation: 's3://b/p/x',
      backupName: 'daily',
      storageLocation: S3,
      encryption: { enabled: true, encryptionSecret: 'key' },
      restoreMode: 'PointInTime',
      targetRevision: 12345,
      etcdCluster: { endpoints: ['https://etcd-0:2379'], dataDir: '/var/lib/etcd' },
      quiesceCluster: false,
      preRestoreHooks: [{ name: 'a', type: 'Exec', exec: { command: ['true'] } }],
      postRestoreHooks: [{ name: 'a', type: 'Exec', exec: { command: ['true'] }, timeoutSeconds: 1 }],
      versionCompatibility: { check: true, allowMismatch: true },
      namespaceFilter: ['team-a', 'team-b'],
      conflictPolicy: 'Replace',
      dryRun: true,
      requestedBy: ALICE,
    },
  },
  { what: 'no mode', spec: { backupName: 'daily' }, refused: /spec\.restoreMode: Required/ },
  {
    what: 'an unknown mode',
    spec: restore({ restoreMode: 'PIT' }),
    refused: /restoreMode: Unsupported value/,
  },
  { what: 'no source', spec: { restoreMode: 'Full' }, refused: /needs backupName or snapshotLocation/ },
  { what: 'a place alone', spec: located({}) },
  { what: 'a place that wins over a name', spec: located({ backupName: 'daily' }) },
  ...['bucket/path', '/var/backups', 's3://a b', ''].map((snapshotLocation) => ({
    what: `place "${snapshotLocation}"`,
    spec: located({ snapshotLocation }),
    refused: /spec\.snapshotLocation/,
  })),
  ...[{ storageLocation: S3 }, { encryption: { enabled: false } }].map((extra) => ({
    what: `a name with ${Object.keys(extra).join()}`,
    spec: restore(extra),
    refused: /belong to a snapshotLocation/,
  })),
  {
    what: 'a store without a region',
    spec: located({ storageLocation: { provider: 'S3', bucket: 'bb' } }),
    refused: /region is required/,
  },
  {
    what: 'encryption without a key',
    spec: located({ encryption: { enabled: true } }),
    refused: /encryption needs a key/,
  },

  { what: 'a revision', spec: restore({ restoreMode: 'PointInTime', targetRevision: 1 }) },
  {
    what: 'the largest revision',
    spec: restore({ restoreMode: 'PointInTime', targetRevision: Number.MAX_SAFE_INTEGER }),
  },
  { what: 'a time', spec: restore({ restoreMode: 'PointInTime', targetTime: '2026-11-22T08:00:00+01:00' }) },
  {
    what: 'no point in time',
    spec: restore({ restoreMode: 'PointInTime' }),
    refused: /PointInTime needs either/,
  },
  {
    what: 'two points in time',
    spec: restore({ restoreMode: 'PointInTime', targetRevision: 5, targetTime: '2026-11-22T08:00:00Z' }),
    refused: /PointInTime needs either/,
  },
  ...['Full', 'Incremental'].flatMap((restoreMode) => [
    { what: restoreMode, spec: restore({ restoreMode }) },
    {
      what: `${restoreMode} with a revision`,
      spec: restore({ restoreMode, targetRevision: 5 }),
      refused: /the other modes have neither/,
    },
    {
      what: `${restoreMode} with a time`,
      spec: restore({ restoreMode, targetTime: '2026-11-22T08:00:00Z' }),
      refused: /the other modes have neither/,
    },
  ]),
  {
    what: 'revision 0',
    spec: restore({ restoreMode: 'PointInTime', targetRevision: 0 }),
    refused: /targetRevision/,
  },
  {
    what: 'a time that is none',
    spec: restore({ restoreMode: 'PointInTime', targetTime: 'yesterday' }),
    refused: /targetTime/,
  },

  { what: 'an etcd of unknown members', spec: restore({ etcdCluster: { dataDir: '/var/lib/etcd' } }) },
  ...['var/lib/etcd', '/var/../etc', '/', '/a/./b', '/a\nb'].map((dataDir) => ({
    what: `data dir ${JSON.stringify(dataDir)}`,
    spec: restore({ etcdCluster: { dataDir } }),
    refused: /etcdCluster\.dataDir/,
  })),
  {
    what: 'an endpoint with a path',
    spec: restore({ etcdCluster: { endpoints: ['https://a/b'] } }),
    refused: /endpoints\[0\]/,
  },
  {
    what: 'a hook with nothing to run',
    spec: restore({ preRestoreHooks: [{ name: 'a', type: 'Exec' }] }),
    refused: /needs exec\.command/,
  },
  ...['kube_system', 'A', '../x', '*', ''].map((namespace) => ({
    what: `namespace "${namespace}"`,
    spec: restore({ namespaceFilter: [namespace] }),
    refused: /namespaceFilter\[0\]/,
  })),
  {
    what: 'an unknown conflict policy',
    spec: restore({ conflictPolicy: 'Merge' }),
    refused: /conflictPolicy: Unsupported/,
  },
  { what: 'a longer name', name: 'n'.repeat(64), spec: restore({}), refused: /at most 63 characters/ },
];

const stamped = restore({ requestedBy: ALICE });

export const RESTORE_CHANGES: readonly Change[] = [
  { what: 'nothing changes', before: stamped, after: stamped },
  ...[
    { backupName: 'other' },
    { restoreMode: 'Incremental' },
    { dryRun: true },
    { namespaceFilter: ['team-a'] },
    { requestedBy: { username: 'mallory' } },
  ].map((change) => ({
    what: `its ${Object.keys(change).join()} changes`,
    before: stamped,
    after: { ...stamped, ...change },
    refused: /a restore can't be changed/,
  })),
];
