import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupSchedule } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { chooseDrill, type DrillChoice } from './choose-drill.ts';
import { at, backupNamed, drilled, scheduleNamed } from './drill-backups.fixture.ts';
import { drillSeries } from './drill-series.ts';

const DAY = 24;
const WEEK = 7 * DAY;

interface Case {
  readonly what: string;
  readonly backups: readonly EtcdBackup[];
  readonly schedules?: readonly EtcdBackupSchedule[];
  /** Hours; default a week. */
  readonly every?: number;
  readonly now: number;
  /** The name of what is drilled, and in which hour the next drill is due. */
  readonly drill: string | undefined;
  readonly next?: number;
}

function choose({ backups, schedules = [], every = WEEK, now }: Omit<Case, 'what' | 'drill'>): DrillChoice {
  return chooseDrill(backups, drillSeries(backups, schedules), every * 3_600_000, at(now));
}

const run = (name: string, completed: number, more: Parameters<typeof backupNamed>[1] = {}): EtcdBackup =>
  backupNamed(name, { schedule: 'nightly', completed, ...more });

const CASES: readonly Case[] = [
  {
    what: 'a series that was never drilled is due, by its newest completed run',
    backups: [run('a', 1), run('b', 2), run('c', 3, { phase: 'Running' }), run('d', 4, { phase: 'Failed' })],
    ...{ now: 5, drill: 'b' },
  },
  {
    what: 'a series is due again when its last drill is older than the cadence',
    backups: [run('a', 1, { drill: drilled(2), held: 2 }), run('b', 100)],
    ...{ now: WEEK + 2, drill: 'b' },
  },
  {
    what: 'before that nothing is due',
    backups: [run('a', 1, { drill: drilled(2), held: 2 }), run('b', 100)],
    ...{ now: WEEK + 1, drill: undefined, next: WEEK + 2 },
  },
  {
    what: 'a failed drill waits for the cadence as a passed one does',
    backups: [run('a', 1, { drill: drilled(2, 'Failed'), held: 2 }), run('b', 3)],
    ...{ now: 4, drill: undefined, next: WEEK + 2 },
  },
  {
    what: 'the newest run is drilled again where no other came',
    backups: [run('a', 1, { drill: drilled(2), held: 2 })],
    ...{ now: WEEK + 3, drill: 'a' },
  },
  {
    what: 'the schedule remembers what runs were that are gone',
    backups: [run('z', 100)],
    schedules: [scheduleNamed('nightly', { drill: drilled(90), lastDrillTime: at(90).toISOString() })],
    ...{ now: 101, drill: undefined, next: WEEK + 90 },
  },
  {
    what: 'a backup with a schedule remembers too',
    backups: [
      backupNamed('own', { spec: { schedule: '@daily' }, held: 90, drill: drilled(90) }),
      backupNamed('own-1', {
        completed: 100,
        metadata: {
          ownerReferences: [
            {
              apiVersion: 'etcdguardian.io/v1alpha1',
              kind: 'EtcdBackup',
              name: 'own',
              uid: 'u',
              controller: true,
            },
          ],
        },
      }),
    ],
    ...{ now: 101, drill: undefined, next: WEEK + 90 },
  },
  {
    what: 'a backup alone is drilled once',
    backups: [backupNamed('alone', { completed: 1 })],
    ...{ now: 2, drill: 'alone' },
  },
  {
    what: 'and never again',
    backups: [backupNamed('alone', { drill: drilled(2), held: 2 })],
    ...{ now: 10 * WEEK, drill: undefined },
  },
  {
    what: 'what could not be held is tried again after an hour',
    backups: [backupNamed('alone', { drill: drilled(2, 'Unknown', 1) })],
    ...{ now: 2.9, drill: undefined, next: 3 },
  },
  {
    what: 'then after two, then four',
    backups: [run('a', 1, { drill: drilled(2, 'Unknown', 3) }), run('b', 5)],
    ...{ now: 5.5, drill: undefined, next: 6 },
  },
  {
    what: 'and by the cadence at the latest',
    backups: [run('a', 1, { drill: drilled(2, 'Unknown', 40) })],
    ...{ now: 3, drill: undefined, next: WEEK + 2 },
  },
  {
    what: 'the newest run is what is tried again',
    backups: [run('a', 1, { drill: drilled(2, 'Unknown', 1) }), run('b', 3)],
    ...{ now: 3.1, drill: 'b' },
  },
  {
    what: 'a try on demand that could not be held brings nothing forward',
    backups: [run('a', 1, { drill: drilled(3, 'Unknown', 1), held: 2 })],
    ...{ now: 5, drill: undefined, next: WEEK + 2 },
  },
  {
    what: 'of several series the one that is longest without a drill comes first',
    backups: [
      backupNamed('x', { schedule: 'x', drill: drilled(5), held: 5 }),
      backupNamed('y', { schedule: 'y', drill: drilled(3), held: 3 }),
      backupNamed('z', { schedule: 'z', drill: drilled(4), held: 4 }),
    ],
    ...{ now: WEEK + 10, drill: 'y' },
  },
  {
    what: 'one that was never drilled before all',
    backups: [
      backupNamed('x', { schedule: 'x', drill: drilled(1), held: 1 }),
      backupNamed('new', { completed: WEEK }),
    ],
    ...{ now: WEEK + 10, drill: 'new' },
  },
  {
    what: 'backups without consistencyCheck, of namespaces and in folders are not drilled by themselves',
    backups: [
      backupNamed('unchecked', { consistencyCheck: false }),
      backupNamed('team', { spec: { namespaceSelector: { matchLabels: { team: 'a' } } } }),
      backupNamed('folder', { spec: { storageLocation: { provider: 'Local', bucket: '/var/backups' } } }),
      backupNamed('going', { metadata: { deletionTimestamp: at(0).toISOString() } }),
    ],
    ...{ now: 5, drill: undefined },
  },
  {
    what: 'with cadence 0 nothing is due by itself',
    backups: [run('a', 1)],
    ...{ every: 0, now: 5, drill: undefined },
  },
  {
    what: 'but what is asked for',
    backups: [run('a', 1), run('b', 2, { annotation: 'now', consistencyCheck: false })],
    ...{ every: 0, now: 5, drill: 'b' },
  },
  {
    what: 'what is asked for comes before what is due',
    backups: [run('a', 1), backupNamed('asked', { annotation: 'x', drill: drilled(4), held: 4 })],
    ...{ now: 5, drill: 'asked' },
  },
  {
    what: 'but not before who has waited for twice the cadence',
    backups: [run('a', 1), backupNamed('asked', { annotation: 'x', drill: drilled(4), held: 4 })],
    ...{ now: WEEK + 5, drill: 'a' },
  },
  {
    what: 'who has waited longest for that comes first, and not what was never drilled',
    backups: [
      backupNamed('x', { schedule: 'x', drill: drilled(1), held: 1 }),
      backupNamed('new', { completed: WEEK + 2 }),
    ],
    ...{ now: 2 * WEEK + 3, drill: 'x' },
  },
  {
    what: 'a value that was served asks for nothing',
    backups: [backupNamed('asked', { annotation: 'x', drill: { ...drilled(4), requested: 'x' }, held: 4 })],
    ...{ now: 5, drill: undefined },
  },
  {
    what: 'another value asks again',
    backups: [backupNamed('asked', { annotation: 'y', drill: { ...drilled(4), requested: 'x' }, held: 4 })],
    ...{ now: 5, drill: 'asked' },
  },
  {
    what: 'who asks for a drill of what is not finished waits for that',
    backups: [backupNamed('asked', { annotation: 'x', phase: 'Running' })],
    ...{ now: 5, drill: undefined },
  },
  {
    what: 'a drill that lies in the future, by a clock that was wrong, holds nothing up',
    backups: [run('a', 1, { drill: drilled(9 * WEEK), held: 9 * WEEK })],
    ...{ now: 5, drill: 'a' },
  },
];

describe('which drill is due', () => {
  for (const { what, drill, next, ...given } of CASES)
    test(what, () => {
      const choice = choose(given);
      assert.equal(choice.drill?.backup.metadata.name, drill);
      if (drill === undefined)
        assert.equal(choice.nextMs, next === undefined ? undefined : at(next).getTime());
      assert.deepEqual(choice.refused, []);
    });

  test('the same whatever the order in which backups are known', () => {
    const backups = ['x', 'y', 'z'].map((name) => backupNamed(name, { completed: 1 }));
    for (const order of [backups, [...backups].reverse()])
      assert.equal(choose({ backups: order, now: 2 }).drill?.backup.metadata.name, 'x');
  });

  test('who asks for what is due anyway is served by it', () => {
    const choice = choose({ backups: [run('a', 1, { annotation: 'please' })], now: 2 });
    assert.equal(choice.drill?.requested, 'please');
  });

  test('asking for what can’t be drilled is refused, with the way out', () => {
    const annotation = 'now';
    const { drill, refused } = choose({
      backups: [
        backupNamed('failed', { annotation, phase: 'Failed' }),
        backupNamed('team', { annotation, spec: { namespaceSelector: { matchLabels: { team: 'a' } } } }),
        backupNamed('folder', { annotation, spec: { storageLocation: { provider: 'Local', bucket: '/b' } } }),
        backupNamed('parent', { annotation, spec: { schedule: '@daily' } }),
      ],
      now: 5,
    });
    assert.equal(drill, undefined);
    assert.deepEqual(
      refused.map(({ backup, requested }) => [backup.metadata.name, requested]),
      ['failed', 'team', 'folder', 'parent'].map((name) => [name, 'now']),
    );
    assert.ok(refused.every(({ why, hint }) => why !== '' && hint !== ''));
  });
});
