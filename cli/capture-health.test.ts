import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CaptureStatus } from '../lib/backup/capture/capture-status.ts';
import { whyUnhealthy } from './capture-health.ts';

const NOW = new Date('2026-11-22T14:05:00Z');
const PATIENCE_MS = 60_000;

const WELL: CaptureStatus = {
  ...{ state: 'capturing', cluster: 'prod', chain: undefined, endpoint: 'http://127.0.0.1:2379' },
  ...{ storedRevision: 7n, seenRevision: 9n, currentRevision: 9n, lagRevisions: 2, lagSeconds: 3 },
  ...{
    waitingSegments: 0,
    waitingBytes: 0,
    spilledBytes: 0,
    gaps: 0,
    breaks: 0,
    checks: 0,
    bases: 1,
    storedSegments: 4,
  },
  ...{ storedBytes: 100, capturedEvents: 9, connections: 1, trouble: undefined },
  ...{ clockSteps: 0, lastClockStep: undefined },
};

function troubledFor(seconds: number): Partial<CaptureStatus> {
  return { trouble: { message: 'the store is away', since: new Date(NOW.getTime() - seconds * 1000) } };
}

const cases: readonly (readonly [string, Partial<CaptureStatus>, string | undefined])[] = [
  ['one that works', {}, undefined],
  ['short trouble', troubledFor(59), undefined],
  ['long trouble', troubledFor(61), 'in trouble for 1 min 1 s: the store is away'],
  [
    'a long time without progress',
    { lagSeconds: 90 },
    'nothing got into the store for 1 min 30 s, 2 revisions wait',
  ],
  ['a base that takes long', { state: 'taking-base', lagSeconds: 900 }, undefined],
  [
    'a base that can’t be taken',
    { state: 'taking-base', ...troubledFor(90) },
    'in trouble for 1 min 30 s: the store is away',
  ],
  ['one that ended', { state: 'stopped' }, 'capture has stopped'],
];

for (const [what, over, why] of cases) {
  test(`${what} is ${why === undefined ? 'well' : 'not well'}`, () => {
    assert.equal(whyUnhealthy({ ...WELL, ...over }, PATIENCE_MS, NOW), why);
  });
}

test('one that has not begun is well: its start tells what is wrong', () => {
  assert.equal(whyUnhealthy(undefined, PATIENCE_MS, NOW), undefined);
});
