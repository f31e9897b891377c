import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { at, backupNamed, drilled } from './drill-backups.fixture.ts';
import { DRILL_ANNOTATIONS, type Job } from './drill-job.ts';
import { stateOfJob } from './drill-jobs.ts';
import { drillName, SERVED_ANNOTATION, unservedRequest } from './drill-request.ts';

function jobOf(backup: EtcdBackup, begun: number, type?: 'Complete' | 'Failed'): Job {
  const { namespace = '', name, uid = '' } = backup.metadata;
  return {
    metadata: {
      name: drillName(backup),
      annotations: {
        [DRILL_ANNOTATIONS.namespace]: namespace,
        [DRILL_ANNOTATIONS.name]: name,
        [DRILL_ANNOTATIONS.uid]: uid,
        [DRILL_ANNOTATIONS.at]: at(begun).toISOString(),
        [SERVED_ANNOTATION]: 'now',
      },
    },
    spec: { activeDeadlineSeconds: 6 * 3_600 },
    ...(type === undefined ? {} : { status: { conditions: [{ type, status: 'True' }] } }),
  };
}

const backup = backupNamed('a');
const recorded = backupNamed('a', { drill: drilled(3), held: 3 });
const CASES: readonly (readonly [what: string, Job, EtcdBackup | undefined, now: number, kind: string])[] = [
  ['one that goes on holds the place', jobOf(backup, 1), backup, 2, 'active'],
  ['one whose backup is gone too', jobOf(backup, 1), undefined, 2, 'active'],
  [
    'one of a backup of that name that is gone too',
    jobOf(backup, 1),
    backupNamed('a', { metadata: { uid: 'new' } }),
    2,
    'active',
  ],
  ['one that has ended is to be written down', jobOf(backup, 1, 'Complete'), backup, 2, 'ended'],
  ['a failed one too', jobOf(backup, 1, 'Failed'), backup, 2, 'ended'],
  ['however late somebody looks', jobOf(backup, 1, 'Failed'), backup, 1_000, 'ended'],
  ['one whose backup is gone is not', jobOf(backup, 1, 'Complete'), undefined, 2, 'past'],
  ['one that is written down is past', jobOf(backup, 1, 'Complete'), recorded, 4, 'past'],
  [
    'so is one of another backup of that name',
    jobOf(backup, 1, 'Complete'),
    backupNamed('a', { metadata: { uid: 'new' } }),
    2,
    'past',
  ],
  ['one from before a restore that never ended is lost', jobOf(backup, 1), backup, 8, 'lost'],
  ['though it had some grace', jobOf(backup, 1), backup, 7.1, 'active'],
  [
    'one that was written down and goes on after its time holds nothing up',
    jobOf(backup, 1),
    recorded,
    8,
    'past',
  ],
];

for (const [what, job, known, now, kind] of CASES)
  test(`of Jobs: ${what}`, () => {
    const state = stateOfJob(job, known, at(now));
    assert.equal(state.kind, kind);
    if (state.kind === 'ended' || state.kind === 'lost') assert.equal(state.requested, 'now');
  });

test('a Job with our labels that names no backup is none of ours', () => {
  const state = stateOfJob({ metadata: { name: 'x' }, spec: {} }, undefined, at(1));
  assert.equal(state.kind, 'past');
});

test('a Job has a name of its own for each drill of a backup, and the same until that is written down', () => {
  const names = [
    backup,
    backupNamed('a', { metadata: { uid: 'another' } }),
    recorded,
    backupNamed('a', { drill: { ...drilled(3), requested: 'x' } }),
    backupNamed('a', { drill: drilled(4, 'Unknown', 1) }),
  ].map(drillName);
  assert.equal(new Set(names).size, names.length);
  assert.equal(drillName(backupNamed('a', { annotation: 'new', completed: 7 })), names[0]);
});

test('names of Jobs are such that their pods have names too, whatever backups are called', () => {
  for (const name of ['a', 'nightly-20261122-010000', 'x.y', 'x'.repeat(63), `${'x'.repeat(35)}.-y`])
    assert.match(drillName(backupNamed(name)), /^drill-[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?-[0-9a-f]{10}$/);
});

test('only a value that is new asks for a drill', () => {
  assert.equal(unservedRequest(backup), undefined);
  assert.equal(unservedRequest(backupNamed('a', { annotation: '  ' })), undefined);
  assert.equal(unservedRequest(backupNamed('a', { annotation: ' now ' })), 'now');
  const drill = { ...drilled(3), requested: 'x'.repeat(256) };
  assert.equal(unservedRequest(backupNamed('a', { annotation: 'x'.repeat(1_000), drill })), undefined);
});
