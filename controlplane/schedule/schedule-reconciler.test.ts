import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackupSchedule } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { Condition } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { ScheduleReconciler } from './schedule-reconciler.ts';
import { runObject } from './run-object.ts';
import { sourceOfSchedule } from './schedule-source.ts';

const MINUTE_MS = 60_000;

// Doubles, since no API server lets the clock's minutes be chosen at which it refuses.
test('a refusal stands until a run begins, is logged once, and says nothing of missed runs that nobody stands for', async () => {
  let now = new Date('2026-11-23T10:00:30Z');
  let refused = true;
  const begun: EtcdBackup[] = [];
  const events: string[] = [];
  const logged: string[] = [];
  const tools = {
    clock: () => now,
    kube: {
      create(_resource: unknown, _namespace: string, run: object) {
        if (refused) return Promise.reject(new GuardianError('kubernetes.forbidden', 'no runs today'));
        const made = { ...run, kind: 'EtcdBackup' } as EtcdBackup;
        begun.push(made);
        return Promise.resolve(made);
      },
    },
    events: {
      normal: (_about: unknown, reason: string) => events.push(reason),
      warning: (_about: unknown, reason: string) => events.push(reason),
    },
    log: { write: (_level: string, event: string) => logged.push(event) },
  } as unknown as ControlPlaneTools;
  const reconciler = new ScheduleReconciler(tools);
  let status: object = {};
  let runs: EtcdBackup[] = [];
  const look = async (generation = 1): Promise<Condition | undefined> => {
    const source = sourceOfSchedule({
      metadata: {
        ...{ name: 'hourly', namespace: 'team', uid: 'u', generation },
        creationTimestamp: '2026-11-23T07:30:00Z',
      },
      spec: {
        ...{
          schedule: '0 * * * *',
          suspend: false,
          startingDeadlineSeconds: 120,
          concurrencyPolicy: 'Forbid',
        },
        ...{ aiOptimization: { enabled: false }, backupTemplate: { spec: {} } },
      },
      status,
    } as unknown as EtcdBackupSchedule);
    const step = await reconciler.reconcile('team/hourly', source, runs, new AbortController().signal);
    status = step.status;
    return (status as { conditions: Condition[] }).conditions.find(({ type }) => type === 'Scheduled');
  };

  for (let minute = 0; minute < 10; minute += 1) {
    assert.equal((await look())?.reason, 'RunRefused', `minute ${minute}`);
    now = new Date(now.getTime() + MINUTE_MS);
  }
  assert.deepEqual(events, ['RunRefused', 'RunRefused', 'RunSkipped']);
  assert.deepEqual(logged, ['run-refused']);

  const before = status;
  assert.equal((await look(2))?.reason, 'Scheduled', 'of another spec nothing was refused yet');
  status = before;
  refused = false;
  now = new Date('2026-11-23T11:00:30Z');
  assert.equal((await look())?.reason, 'Scheduled');
  assert.deepEqual(logged, ['run-refused', 'run-begun']);

  // Somebody changed the schedule, so that this status could not be written; the run is there.
  status = before;
  runs = begun;
  assert.equal((await look())?.reason, 'Scheduled');
  assert.deepEqual(logged, ['run-refused', 'run-begun']);
});

test('with Replace a run that is refused takes the place of none that goes on', async () => {
  const calls: string[] = [];
  let refused = true;
  const tools = {
    clock: () => new Date('2026-11-23T10:00:30Z'),
    kube: {
      create(_resource: unknown, _namespace: string, run: object, { dryRun }: { dryRun: boolean }) {
        calls.push(dryRun ? 'try' : 'create');
        if (!refused) return Promise.resolve(run);
        return Promise.reject(new GuardianError('kubernetes.forbidden', 'no runs today'));
      },
      mergePatch: ({ name }: { name: string }) => Promise.resolve(calls.push(`cancel ${name}`)),
    },
    events: { normal: () => undefined, warning: () => undefined },
    log: { write: () => undefined },
  } as unknown as ControlPlaneTools;
  const source = sourceOfSchedule({
    metadata: { name: 'hourly', namespace: 'team', uid: 'u', creationTimestamp: '2026-11-23T07:30:00Z' },
    spec: {
      ...{ schedule: '0 * * * *', suspend: false, concurrencyPolicy: 'Replace' },
      ...{ aiOptimization: { enabled: false }, backupTemplate: { spec: {} } },
    },
  } as unknown as EtcdBackupSchedule);
  const running = {
    ...runObject(source, 'hourly-9', new Date('2026-11-23T09:00:00Z')),
    status: { phase: 'Running' as const },
  };
  const look = (): Promise<unknown> =>
    new ScheduleReconciler(tools).reconcile('team/hourly', source, [running], new AbortController().signal);
  await look();
  assert.deepEqual(calls.splice(0), ['try']);
  refused = false;
  await look();
  assert.deepEqual(calls, ['try', 'cancel hourly-9', 'create']);
});
