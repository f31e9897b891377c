import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { at, backupNamed, drilled } from './drill-backups.fixture.ts';
import { DRILL_ANNOTATIONS, type Job } from './drill-job.ts';
import { type JobState, stateOfJob } from './drill-jobs.ts';
import type { DrillPod } from './drill-outcome.ts';
import { drillName, drillNames, SERVED_ANNOTATION, unservedRequest } from './drill-request.ts';

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
const another = backupNamed('a', { metadata: { uid: 'new' } });
const RUNNING = podOf('Running', { running: {} });
const PENDING = podOf('Pending');

function podOf(phase: string, state?: object, deleted?: number): DrillPod {
  return {
    metadata: {
      name: 'pod',
      ...(deleted === undefined ? {} : { deletionTimestamp: at(deleted).toISOString() }),
    },
    status: { phase, ...(state === undefined ? {} : { containerStatuses: [{ name: 'drill', state }] }) },
  };
}

function deleted(job: Job, hours: number): Job {
  return { ...job, metadata: { ...job.metadata, deletionTimestamp: at(hours).toISOString() } };
}

function told(job: Job, status: NonNullable<Job['status']>): Job {
  return { ...job, status };
}

interface Case {
  readonly what: string;
  readonly job: Job;
  readonly of?: EtcdBackup | undefined;
  readonly pods?: readonly DrillPod[];
  readonly now: number;
  readonly kind: JobState['kind'];
}

const ENDING = { conditions: [{ type: 'FailureTarget', status: 'True' }] };
const CASES: readonly Case[] = [
  {
    what: 'one that goes on holds the place',
    job: jobOf(backup, 1),
    pods: [RUNNING],
    now: 2,
    kind: 'active',
  },
  {
    what: 'one whose backup is gone too',
    ...{ job: jobOf(backup, 1), of: undefined, pods: [RUNNING], now: 2, kind: 'active' },
  },
  {
    what: 'one of a backup of that name that is gone too',
    ...{ job: jobOf(backup, 1), of: another, pods: [RUNNING], now: 2, kind: 'active' },
  },
  {
    what: 'one that has ended is to be written down',
    ...{ job: jobOf(backup, 1, 'Complete'), now: 2, kind: 'ended' },
  },
  { what: 'a failed one too', job: jobOf(backup, 1, 'Failed'), now: 2, kind: 'ended' },
  { what: 'however late somebody looks', job: jobOf(backup, 1, 'Failed'), now: 1_000, kind: 'ended' },
  {
    what: 'one whose backup is gone is not',
    ...{ job: jobOf(backup, 1, 'Complete'), of: undefined, now: 2, kind: 'past' },
  },
  {
    what: 'one that is written down is past',
    ...{ job: jobOf(backup, 1, 'Complete'), of: recorded, now: 4, kind: 'past' },
  },
  {
    what: 'so is one of another backup of that name',
    ...{ job: jobOf(backup, 1, 'Complete'), of: another, now: 2, kind: 'past' },
  },
  { what: 'one from before a restore that never ended is lost', job: jobOf(backup, 1), now: 8, kind: 'lost' },
  {
    what: 'and though it was written down it is not forgotten before it is gone',
    ...{ job: jobOf(backup, 1), of: recorded, now: 8, kind: 'lost' },
  },
  {
    what: 'while its pod runs it is not, whatever the clock says',
    ...{ job: jobOf(backup, 1), pods: [RUNNING], now: 1_000, kind: 'active' },
  },
  {
    what: 'nor while its pod may still end',
    ...{ job: jobOf(backup, 1), pods: [podOf('Running', { running: {} }, 7.9)], now: 8, kind: 'active' },
  },
  {
    what: 'but when that was told to end long ago, as on a node that is no more',
    ...{ job: jobOf(backup, 1), pods: [podOf('Running', { running: {} }, 7)], now: 8, kind: 'lost' },
  },
  { what: 'one has time to begin', job: jobOf(backup, 1), pods: [PENDING], now: 1.2, kind: 'active' },
  { what: 'also without a pod', job: jobOf(backup, 1), now: 1.2, kind: 'active' },
  {
    what: 'one that can’t begin is late',
    ...{ job: jobOf(backup, 1), pods: [PENDING], now: 1.3, kind: 'late' },
  },
  { what: 'also without a pod, when time is over', job: jobOf(backup, 1), now: 1.3, kind: 'late' },
  {
    what: 'also while something is copied for it',
    ...{ job: jobOf(backup, 1), pods: [podOf('Pending', { waiting: {} })], now: 1.3, kind: 'late' },
  },
  {
    what: 'whatever became of its backup',
    ...{ job: jobOf(backup, 1), of: undefined, pods: [PENDING], now: 1.3, kind: 'late' },
  },
  {
    what: 'one whose pod has ended only waits for its own end',
    ...{ job: jobOf(backup, 1), pods: [podOf('Failed')], now: 1.3, kind: 'active' },
  },
  {
    what: 'also when the pod is gone',
    ...{ job: told(jobOf(backup, 1), { failed: 1 }), now: 1.3, kind: 'active' },
  },
  {
    what: 'also when its controller is about to end it',
    ...{ job: told(jobOf(backup, 1), ENDING), now: 6.9, kind: 'active' },
  },
  {
    what: 'one that is removed holds the place',
    job: deleted(jobOf(backup, 1), 2),
    now: 2.1,
    kind: 'leaving',
  },
  {
    what: 'until its pod has ended',
    ...{ job: deleted(jobOf(backup, 1), 2), pods: [RUNNING], now: 9, kind: 'leaving' },
  },
  {
    what: 'but not for ever',
    ...{ job: deleted(jobOf(backup, 1), 2), pods: [podOf('Succeeded')], now: 3, kind: 'past' },
  },
];

for (const { what, job, pods = [], now, kind, ...given } of CASES)
  test(`of Jobs: ${what}`, () => {
    const of = 'of' in given ? given.of : backup;
    const state = stateOfJob(job, { pods, backup: of, now: at(now), startLimitMs: 900_000 });
    assert.equal(state.kind, kind);
    if (state.kind === 'ended') assert.equal(state.requested, 'now');
    if (state.kind !== 'late' && state.kind !== 'lost') return;
    assert.deepEqual([state.requested, state.backup], ['now', of === backup ? backup : undefined]);
  });

test('a Job with our labels that names no backup is none of ours', () => {
  const facts = { pods: [], backup: undefined, now: at(1), startLimitMs: 1 };
  const state = stateOfJob({ metadata: { name: 'x' }, spec: {} }, facts);
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
  const choices = drillNames(backup);
  assert.deepEqual([choices[0], new Set([...choices, ...names]).size], [names[0], names.length + 3]);
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
