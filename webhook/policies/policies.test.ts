import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { BACKUP_CASES, BACKUP_CHANGES } from '../../test/crds/backup-cases.ts';
import { RESTORE_CASES, RESTORE_CHANGES } from '../../test/crds/restore-cases.ts';
import { SCHEDULE_CASES, SCHEDULE_CHANGES } from '../../test/crds/schedule-cases.ts';
import { admission, BACKUP, RESTORE, SCHEDULE, SETTINGS } from '../review.fixture.ts';
import type { Objection, PolicyTools } from '../policy.ts';
import { requesterShares } from '../requester-shares.ts';
import { POLICIES } from './all.ts';

/** Policies that ask nobody don't reach it. */
const NOBODY = new Proxy({}, { get: () => assert.fail('the API server was asked') }) as KubeClient;
const TOOLS: PolicyTools = {
  ...{ client: NOBODY, settings: SETTINGS, signal: new AbortController().signal },
  shares: requesterShares({ perSecond: 1_000, burst: 1_000, atOnce: 10 }),
};

async function objections(request: Parameters<typeof admission>[0]): Promise<readonly Objection[]> {
  const asked = admission(request);
  const concerned = POLICIES.slice(0, 2)
    .flat()
    .filter((policy) => policy.concerns(asked, TOOLS));
  return (await Promise.all(concerned.map(async (policy) => policy.judge(asked, TOOLS)))).flatMap(
    (one) => one.objections,
  );
}

const KINDS = [
  ['EtcdBackup', BACKUP_CASES, BACKUP_CHANGES],
  ['EtcdBackupSchedule', SCHEDULE_CASES, SCHEDULE_CHANGES],
  ['EtcdRestore', RESTORE_CASES, RESTORE_CHANGES],
] as const;

/** With what an API server fills in; a restore brings its own source. */
function filled(kind: (typeof KINDS)[number][0], spec: object): object {
  if (kind === 'EtcdBackupSchedule') {
    const { backupTemplate = {} } = spec as { backupTemplate?: { spec?: object } };
    return {
      ...SCHEDULE,
      ...spec,
      backupTemplate: { ...backupTemplate, spec: { ...BACKUP, ...backupTemplate.spec } },
    };
  }
  if (kind === 'EtcdRestore') return { ...RESTORE, backupName: undefined, ...spec };
  const { validation = {} } = spec as { validation?: object };
  return { ...BACKUP, ...spec, validation: { ...BACKUP.validation, ...validation } };
}

/** Rules of the definitions that old API servers don't know; what schemas say, every one knows. */
const BY_SCHEMA =
  /Required|Unsupported|unknown field|Invalid|Duplicate|should have|Too (long|many)|timeoutSeconds|targetRevision$|targetTime$|startingDeadlineSeconds|spec\\\.schedule|etcdEndpoints\\\[|endpoints\\\[|namespaceFilter|maxBackups|spec\\\.snapshotLocation|maxItems|kmsKeyID|encryptionSecret|requestedBy\\\.|maxAge: /;

describe('every rule of the definitions holds without them', () => {
  for (const [kind, cases, changes] of KINDS) {
    for (const { what, name, spec, refused } of cases) {
      if (refused !== undefined && BY_SCHEMA.test(refused.source)) continue;
      test(`${kind} with ${what} is ${refused === undefined ? 'accepted' : 'refused'}`, async () => {
        const found = await objections({
          kind,
          spec: filled(kind, spec),
          metadata: name === undefined ? {} : { name },
        });
        const texts = found.map((one) =>
          one.kind === 'invalid' ? `${one.field}: ${one.message}` : one.message,
        );
        if (refused === undefined) assert.deepEqual(texts, []);
        else assert.ok(texts.length > 0);
      });
    }
    for (const { what, before, after, refused } of changes) {
      // A stamp is put back before anybody sees that it went.
      if (what.includes('requestedBy')) continue;
      test(`${kind}: ${what}: ${refused === undefined ? 'accepted' : 'refused'}`, async () => {
        const found = await objections({ kind, spec: filled(kind, after), oldSpec: filled(kind, before) });
        assert.equal(found.length > 0, refused !== undefined, JSON.stringify(found));
      });
    }
  }
});

const CHAIN = 's3://bucket/prefix/clusters/prod/timelines/000001/chains/20261122t0900z';

describe('beyond the definitions', () => {
  const cases: readonly (readonly [
    what: string,
    kind: (typeof KINDS)[number][0],
    spec: object,
    refused: boolean,
  ])[] = [
    ['the 30th of February', 'EtcdBackup', { ...BACKUP, schedule: '0 0 30 2 *' }, true],
    ['minute 60', 'EtcdBackup', { ...BACKUP, schedule: '60 * * * *' }, true],
    ['the last day of February', 'EtcdBackup', { ...BACKUP, schedule: '0 0 29 2 *' }, false],
    ['words', 'EtcdBackupSchedule', { ...SCHEDULE, schedule: '*/15 0-6 1,15 JAN-MAR mon' }, false],
    ['a time zone', 'EtcdBackupSchedule', { ...SCHEDULE, timeZone: 'Europe/Berlin' }, false],
    ['a time zone that is none', 'EtcdBackupSchedule', { ...SCHEDULE, timeZone: 'Europe/Atlantis' }, true],
    ['an offset for a time zone', 'EtcdBackupSchedule', { ...SCHEDULE, timeZone: '+01:00' }, true],
    [
      'a label that is too long',
      'EtcdBackup',
      { ...BACKUP, namespaceSelector: { matchLabels: { a: 'x'.repeat(64) } } },
      true,
    ],
    [
      'a label with a prefix',
      'EtcdBackup',
      { ...BACKUP, namespaceSelector: { matchLabels: { 'a.b/c': 'd' } } },
      false,
    ],
    [
      'the place of an increment, as a status tells it',
      'EtcdRestore',
      { ...RESTORE, backupName: undefined, snapshotLocation: `${CHAIN}?revision=42` },
      false,
    ],
    [
      'a revision that is none',
      'EtcdRestore',
      { ...RESTORE, backupName: undefined, snapshotLocation: `${CHAIN}?revision=last` },
      true,
    ],
    [
      'a zero byte for a hook',
      'EtcdBackup',
      { ...BACKUP, hooks: { preBackup: [{ name: 'a', type: 'Exec', exec: { command: ['a\0b'] } }] } },
      true,
    ],
  ];
  for (const [what, kind, spec, refused] of cases) {
    test(`${what} is ${refused ? 'refused' : 'accepted'}`, async () => {
      const found = await objections({ kind, spec });
      assert.equal(found.length > 0, refused, JSON.stringify(found));
    });
  }
});
