import { TENANT_BACKUP } from '../harness/admission-scene.ts';
import { type Attack, HOOK, own, stored, template } from './attack.ts';

/** Resources made to break something, or to look like those of someone else. */
export const CRAFTED_RESOURCES: readonly Attack[] = [
  // Names, labels and sizes.
  {
    what: 'gives a name that no label takes',
    spec: TENANT_BACKUP,
    metadata: { name: 'n'.repeat(64) },
    refused: /at most 63 characters/,
    floor: true,
  },
  {
    what: 'lets a name be made that no run fits into',
    kind: 'EtcdBackupSchedule',
    spec: template(TENANT_BACKUP),
    metadata: { name: undefined, generateName: 'n'.repeat(43) },
    refused: /at most 47 characters/,
    floor: true,
  },
  {
    what: 'sets a label of ours',
    spec: TENANT_BACKUP,
    metadata: { labels: { 'etcdguardian.io/operation': 'x' } },
    refused: /is for etcdguardian itself to set/,
  },
  {
    what: 'sets a label of ours on runs',
    kind: 'EtcdBackupSchedule',
    spec: template(TENANT_BACKUP, { labels: { 'x.etcdguardian.io/y': 'z' } }),
    refused: /is for etcdguardian itself to set/,
  },
  {
    what: 'breaks lines by labels of runs',
    kind: 'EtcdBackupSchedule',
    spec: template(TENANT_BACKUP, { labels: { team: 'a\n{"audit":true}' } }),
    refused: /is no value of a label/,
  },
  {
    what: 'breaks paths by a prefix',
    spec: stored({ prefix: 'a/../../b' }),
    refused: /prefix is a relative path/,
    floor: true,
  },
  {
    what: 'sends a huge spec',
    spec: own({
      hooks: {
        preBackup: [{ ...HOOK, exec: { command: Array.from({ length: 60 }, () => 'x'.repeat(4000)) } }],
      },
    }),
    refused: /it has \d+ bytes/,
    floor: true,
  },
  {
    what: 'makes a schedule that never comes',
    kind: 'EtcdBackupSchedule',
    spec: { ...template(TENANT_BACKUP), schedule: '0 0 30 2 *' },
    refused: /never comes|no cron expression/,
  },
  {
    what: 'makes a schedule in a time zone of a file',
    kind: 'EtcdBackupSchedule',
    spec: { ...template(TENANT_BACKUP), timeZone: 'posixrules/Evil' },
    refused: /no time zone/,
  },

  // Owners and finalizers.
  {
    what: "makes a run of an administrator's schedule",
    spec: TENANT_BACKUP,
    metadata: {
      ownerReferences: [
        {
          apiVersion: 'etcdguardian.io/v1alpha1',
          kind: 'EtcdBackupSchedule',
          name: 'admins',
          uid: 'x',
          controller: true,
        },
      ],
    },
    refused: /may not make EtcdBackupSchedule "admins" the owner of anything/,
    floor: true,
  },
  {
    what: 'sets the finalizer of ours',
    spec: TENANT_BACKUP,
    metadata: { finalizers: ['etcdguardian.io/stored-data'] },
    refused: /etcdguardian\.io\/stored-data is for etcdguardian itself to set/,
    floor: true,
  },
];
