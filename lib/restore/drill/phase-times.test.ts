import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recoverySecondsOf } from './drill-report.ts';
import { PhaseTimes } from './phase-times.ts';

test('phases add up, one that comes again goes on, and checks are no part of a recovery', () => {
  let now = 0;
  const times = new PhaseTimes(() => now);
  const lasts = (phase: Parameters<PhaseTimes['begin']>[0], ms: number): void => {
    times.begin(phase);
    now += ms;
  };
  lasts('find', 100);
  lasts('fetch', 2000);
  lasts('fetch', 500);
  lasts('start', 1000);
  lasts('checks', 300);
  lasts('api-server', 4000);
  lasts('checks', 700);
  times.end();
  now += 9000;
  const seconds = times.seconds();
  assert.deepEqual(seconds, { find: 0.1, fetch: 2.5, start: 1, 'api-server': 4, checks: 1 });
  assert.equal(recoverySecondsOf(seconds), 7.6);
  assert.equal(times.current, undefined);
});
