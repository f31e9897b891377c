import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlPlaneMetrics } from '../metrics.ts';
import { at, backupNamed, drilled, scheduleNamed } from './drill-backups.fixture.ts';
import { DrillMetrics } from './drill-metrics.ts';
import { drillSeries } from './drill-series.ts';

test('since when no drill was held is told of schedules that are drilled by themselves, also of one that never was', async () => {
  const metrics = controlPlaneMetrics();
  const held = { held: 3, drill: drilled(3) };
  const never = scheduleNamed('never');
  const created = { ...never, metadata: { ...never.metadata, creationTimestamp: at(1).toISOString() } };
  const backups = [
    backupNamed('nightly-1', { schedule: 'nightly', completed: 2, ...held }),
    backupNamed('never-1', { schedule: 'never', completed: 5 }),
    backupNamed('orphan-1', { schedule: 'orphan', completed: 4 }),
    backupNamed('orphan-2', { schedule: 'orphan', completed: 6 }),
    backupNamed('on-demand-1', { schedule: 'on-demand', consistencyCheck: false, ...held }),
    backupNamed('alone', held),
  ];
  new DrillMetrics(metrics).seen(drillSeries(backups, [scheduleNamed('nightly'), created]), at(9));
  const { text } = await metrics.read();
  const told = [...text.matchAll(/^etcdguardian_no_drill_since\S+series="(\S+)"\} (\d+)$/gm)];
  assert.deepEqual(Object.fromEntries(told.map(([, series = '', seconds]) => [series, Number(seconds)])), {
    nightly: at(3).getTime() / 1000,
    never: at(1).getTime() / 1000,
    orphan: at(4).getTime() / 1000,
  });
  assert.match(text, /^etcdguardian_last_drill_timestamp_seconds\{[^}]*series="alone"\} \d+$/m);
});
