import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type Decision, decideRun, type ScheduleState } from './decide-run.ts';
import { requesterStale } from './requester-age.ts';
import { runName } from './run-name.ts';
import { sourceOfBackup } from './schedule-source.ts';
import { slotsOf } from './slots.ts';

const at = (time: string): Date => new Date(time);

test('where clocks go forward a run at a skipped time is due at the end of that hour, and where they go back once', () => {
  const slots = slotsOf('30 2 * * *', 'Europe/Berlin');
  const spring = slots.after(at('2026-03-28T12:00:00Z'));
  assert.equal(spring?.toISOString(), '2026-03-29T01:00:00.000Z');
  const autumn = slots.after(at('2026-10-24T12:00:00Z'));
  assert.equal(autumn?.toISOString(), '2026-10-25T00:30:00.000Z');
  assert.equal(slots.after(autumn)?.toISOString(), '2026-10-26T01:30:00.000Z');
});

test('a slot counts in the very moment when it comes', () => {
  const slots = slotsOf('@hourly');
  assert.equal(slots.upTo(at('2026-11-22T02:00:00Z'))?.toISOString(), '2026-11-22T02:00:00.000Z');
  assert.equal(slots.upTo(at('2026-11-22T01:59:59.999Z'))?.toISOString(), '2026-11-22T01:00:00.000Z');
});

test('what is no schedule, or no time zone, is refused with what is wrong', () => {
  for (const [schedule, zone] of [
    ['61 * * * *', 'UTC'],
    ['0 2 * *', 'UTC'],
    ['0 2 * * *', 'Mars/Olympus'],
  ] as const)
    assert.throws(() => slotsOf(schedule, zone), { code: 'controlplane.schedule' });
});

test('runs have the date of their zone as a name, and the time in UTC where a date has several', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['0 2 * * *', 'UTC', '2026-01-12T02:00:00Z', 'x-20260112'],
    ['30 0 * * *', 'Europe/London', '2026-03-29T00:30:00Z', 'x-20260329'],
    ['30 0 * * *', 'Europe/London', '2026-03-29T23:30:00Z', 'x-20260330'],
    ['0 * * * *', 'Europe/Berlin', '2026-10-25T00:00:00Z', 'x-20261025-000000'],
    ['0 * * * *', 'Europe/Berlin', '2026-10-25T01:00:00Z', 'x-20261025-010000'],
    ['0 0,12 1 * *', 'UTC', '2026-11-01T12:00:00Z', 'x-20261101-120000'],
    ['0 0 1 1 *', 'UTC', '2026-01-01T00:00:00Z', 'x-20260101'],
  ];
  for (const [schedule, zone, slot, name] of cases)
    assert.equal(runName('x', at(slot), slotsOf(schedule, zone), zone), name);
});

test('no two slots of a year share a name, whatever the zone does', () => {
  for (const [schedule, zone] of [
    ['15 0 * * *', 'Europe/London'],
    ['30 2 * * *', 'America/New_York'],
    ['0 */6 * * *', 'Australia/Lord_Howe'],
    ['0 0 * * *', 'Asia/Beirut'],
  ] as const) {
    const slots = slotsOf(schedule, zone);
    const names = new Set<string>();
    let count = 0;
    let slot = slots.after(at('2026-01-01T00:00:00Z'));
    for (; slot !== undefined && slot < at('2027-01-01T00:00:00Z'); slot = slots.after(slot), count += 1)
      names.add(runName('x', slot, slots, zone));
    assert.equal(names.size, count, `${schedule} in ${zone}`);
  }
});

const HOURLY: ScheduleState = {
  slots: slotsOf('0 * * * *'),
  suspended: false,
  concurrency: 'Forbid',
  deadlineMs: undefined,
  since: at('2026-11-22T08:00:30Z'),
  active: [],
};
const NOW = at('2026-11-22T12:10:00Z');

const DECISIONS: readonly (readonly [
  what: string,
  changes: Partial<ScheduleState>,
  Partial<Record<string, unknown>>,
])[] = [
  [
    'of several missed slots the last one is made up for',
    {},
    { kind: 'run', slot: at('2026-11-22T12:00:00Z'), missed: 3, replace: [] },
  ],
  ['nothing is due before the next slot', { since: at('2026-11-22T12:00:00Z') }, { kind: 'wait' }],
  [
    'a slot that is too late for its deadline is left out',
    { deadlineMs: 300_000 },
    { kind: 'skip', why: 'too-late' },
  ],
  ['a slot within its deadline is run', { deadlineMs: 900_000 }, { kind: 'run' }],
  ['with Forbid nothing begins beside another run', { active: ['a'] }, { kind: 'skip', why: 'running' }],
  ['with Allow it does', { active: ['a'], concurrency: 'Allow' }, { kind: 'run', replace: [] }],
  [
    'with Replace the other run ends',
    { active: ['a'], concurrency: 'Replace' },
    { kind: 'run', replace: ['a'] },
  ],
  ['nothing begins while suspended', { suspended: true }, { kind: 'suspended' }],
];

for (const [what, changes, expected] of DECISIONS) {
  test(what, () => {
    const decision: Decision = decideRun({ ...HOURLY, ...changes }, NOW);
    for (const [field, value] of Object.entries(expected))
      assert.deepEqual(decision[field as keyof Decision], value, field);
    if (decision.kind !== 'suspended') assert.equal(decision.next?.toISOString(), '2026-11-22T13:00:00.000Z');
  });
}

test('a stamp is stale after 90 days, counted from the last change of the spec', () => {
  const backup = (generation: number, message?: string): EtcdBackup => ({
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup' },
    metadata: { name: 'x', namespace: 'y', generation, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { schedule: '@daily', requestedBy: { username: 'alice' } } as unknown as EtcdBackup['spec'],
    status: {
      conditions:
        message === undefined
          ? []
          : [
              {
                ...{ type: 'RequesterStale', status: 'False', reason: 'Fresh', message },
                ...{ observedGeneration: generation, lastTransitionTime: '2026-06-01T00:00:00Z' },
              },
            ],
    },
  });
  const stale = (of: EtcdBackup, now: string): string | undefined => {
    const source = sourceOfBackup(of);
    assert.ok(source);
    return requesterStale(source, at(now))?.status;
  };
  assert.equal(stale(backup(1), '2026-03-31T23:59:59Z'), 'False');
  assert.equal(stale(backup(1), '2026-04-02T00:00:01Z'), 'True');
  assert.equal(stale(backup(2), '2026-12-02T00:00:00Z'), 'False');
  const known = 'asked for by "alice" since 2026-06-01T00:00:00Z';
  assert.equal(stale(backup(2, known), '2026-08-01T00:00:00Z'), 'False');
  assert.equal(stale(backup(2, known), '2026-12-02T00:00:00Z'), 'True');
});
