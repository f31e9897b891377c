import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stampPatch } from './requester-stamp.ts';
import { admission, BACKUP, CONTROL_PLANE, RESTORE, SCHEDULE, SETTINGS } from './review.fixture.ts';

const ALICE = { username: 'alice', groups: ['a'] };
const BOB = { username: 'bob', uid: '2', extra: { 'example.com/x': ['1'] } };
const add = (value: object): object[] => [{ op: 'add', path: '/spec/requestedBy', value }];
const REMOVE = [{ op: 'remove', path: '/spec/requestedBy' }];
const OWNER = {
  apiVersion: 'etcdguardian.io/v1alpha1',
  kind: 'EtcdBackupSchedule',
  name: 's',
  uid: 'u',
  controller: true,
};
const by = (requestedBy: object, spec: object = SCHEDULE): object => ({ ...spec, requestedBy });
const EDITED = { ...SCHEDULE, suspend: true };

const CASES: readonly (readonly [what: string, request: Parameters<typeof admission>[0], patch: object[]])[] =
  [
    ['whoever creates is named', {}, add(ALICE)],
    ['also where someone else was sent', { spec: by(BOB, BACKUP) }, add(ALICE)],
    ['nothing is written that is there already', { spec: by(ALICE, BACKUP) }, []],
    ['everything that is known of him is named', { user: BOB }, add(BOB)],
    [
      'what is empty is left out',
      { user: { username: 'x', uid: '', groups: [], extra: {} } },
      add({ username: 'x' }),
    ],
    ['a text instead of a stamp is overwritten', { spec: { ...BACKUP, requestedBy: 'alice' } }, add(ALICE)],
    [
      'an editor of a schedule is named',
      { kind: 'EtcdBackupSchedule', spec: by(BOB, EDITED), oldSpec: by(BOB) },
      add(ALICE),
    ],
    [
      'also of a backup with a schedule',
      {
        spec: { ...BACKUP, schedule: '@daily', requestedBy: BOB },
        oldSpec: { ...BACKUP, schedule: '@hourly', requestedBy: BOB },
      },
      add(ALICE),
    ],
    [
      'whoever changes labels is not',
      { kind: 'EtcdBackupSchedule', spec: by(BOB), oldSpec: by(BOB), metadata: { labels: { a: 'b' } } },
      [],
    ],
    [
      'a stamp that is changed alone is put back',
      { kind: 'EtcdBackupSchedule', spec: by(ALICE), oldSpec: by(BOB) },
      add(BOB),
    ],
    [
      'a stamp that is removed is put back',
      { kind: 'EtcdBackupSchedule', spec: SCHEDULE, oldSpec: by(BOB) },
      add(BOB),
    ],
    [
      'no stamp is added to what had none',
      { kind: 'EtcdBackupSchedule', spec: by(ALICE), oldSpec: SCHEDULE },
      REMOVE,
    ],
    [
      'what can’t be changed keeps its stamp',
      {
        kind: 'EtcdRestore',
        spec: { ...RESTORE, dryRun: true, requestedBy: ALICE },
        oldSpec: by(BOB, RESTORE),
      },
      add(BOB),
    ],
    [
      'a run keeps the stamp that the control plane sends',
      { user: { username: CONTROL_PLANE }, spec: by(BOB, BACKUP), metadata: { ownerReferences: [OWNER] } },
      [],
    ],
    [
      'but not from someone else',
      { spec: by(BOB, BACKUP), metadata: { ownerReferences: [OWNER] } },
      add(ALICE),
    ],
    [
      'nor without a schedule',
      { user: { username: CONTROL_PLANE }, spec: by(BOB, BACKUP) },
      add({ username: CONTROL_PLANE }),
    ],
    [
      'nor with an owner that is not ours',
      {
        user: { username: CONTROL_PLANE },
        spec: by(BOB, BACKUP),
        metadata: { ownerReferences: [{ ...OWNER, apiVersion: 'x/v1' }] },
      },
      add({ username: CONTROL_PLANE }),
    ],
    ['a status is left alone', { subresource: 'status', spec: by(BOB), oldSpec: SCHEDULE }, []],
    ['a deletion is left alone', { operation: 'DELETE', oldSpec: SCHEDULE }, []],
  ];

for (const [what, request, patch] of CASES) {
  test(what, () => {
    assert.deepEqual(stampPatch(admission(request), { settings: SETTINGS }), patch);
  });
}
