import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DrillSummary } from '../../lib/restore/drill/drill-summary.ts';
import { formatDrillSummary } from '../../lib/restore/drill/drill-summary.ts';
import type { Job } from './drill-job.ts';
import { drillOutcome, type DrillPod, hasMounted, troubleOf } from './drill-outcome.ts';

const ENDED: Job = {
  metadata: { name: 'drill-a-0123456789' },
  spec: {},
  status: {
    completionTime: '2026-11-01T03:00:00Z',
    conditions: [{ type: 'Complete', status: 'True', reason: 'CompletionsReached', message: 'all pods' }],
  },
};
const FAILED: Job = {
  ...ENDED,
  status: {
    conditions: [
      { type: 'Failed', status: 'True', reason: 'DeadlineExceeded', message: 'was active longer' },
    ],
  },
};
const SUMMARY: DrillSummary = {
  ...{ result: 'passed', revision: '42', etcdVersion: '3.6.16', kubeApiserverVersion: 'v1.36.3' },
  ...{ recoverySeconds: 25.2, keys: 7, failedChecks: [], failed: 0, warnings: 0 },
};

function podWith(message: string, exitCode = 0): DrillPod {
  const terminated = { exitCode, message, finishedAt: '2026-11-01T02:59:00Z' };
  return {
    metadata: { name: 'pod' },
    status: {
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      containerStatuses: [{ name: 'drill', state: { terminated } }],
    },
  };
}

function podOf(status: DrillPod['status']): DrillPod {
  return { metadata: { name: 'pod' }, ...(status === undefined ? {} : { status }) };
}

test('a drill that passed tells its figures, and when it ended', () => {
  const { result, message, figures, endedAt } = drillOutcome(
    ENDED,
    [podWith(formatDrillSummary(SUMMARY))],
    undefined,
  );
  assert.equal(result, 'Passed');
  assert.equal(message, 'restored in 26 s at revision 42, 7 keys; everything holds');
  assert.deepEqual(figures, {
    recoverySeconds: 26,
    etcdVersion: '3.6.16',
    kubeApiserverVersion: 'v1.36.3',
    keys: 7,
  });
  assert.equal(endedAt?.toISOString(), '2026-11-01T02:59:00.000Z');
});

test('one that failed tells what does not hold, whatever its Job says', () => {
  const failedChecks = [{ name: 'every key is there', detail: 'keys: 6' }];
  const summary = formatDrillSummary({ ...SUMMARY, result: 'failed', failedChecks, failed: 3 });
  const { result, message } = drillOutcome(FAILED, [podWith(summary, 3)], undefined);
  assert.equal(result, 'Failed');
  assert.match(
    message,
    /^does not hold at revision 42: every key is there: keys: 6; and 2 more\. Do not rely/,
  );
});

test('what ended it is told with the way out; what kept it from being held is no failure', () => {
  const problem = { code: 'restore.encryption-key', message: 'a key is missing.', hint: 'Find the file.' };
  const failed = formatDrillSummary({ ...SUMMARY, result: 'failed', problem });
  const one = drillOutcome(FAILED, [podWith(failed, 5)], undefined);
  assert.deepEqual(
    [one.result, one.message],
    ['Failed', 'a key is missing [restore.encryption-key]. Find the file.'],
  );
  const unknown = formatDrillSummary({ ...SUMMARY, result: 'unknown', problem });
  const other = drillOutcome(FAILED, [podWith(unknown, 6)], undefined);
  assert.equal(other.result, 'Unknown');
  assert.match(other.message, /^the drill could not be held: a key is missing/);
});

const TROUBLES: readonly (readonly [what: string, DrillPod['status'], why: RegExp])[] = [
  [
    'an image that can’t be pulled',
    {
      phase: 'Pending',
      initContainerStatuses: [
        {
          name: 'carrier',
          state: { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' } },
        },
      ],
    },
    /container carrier waits: ImagePullBackOff: Back-off pulling image "x"/,
  ],
  [
    'an eviction',
    { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: ephemeral-storage.' },
    /Evicted: The node was low/,
  ],
  [
    'no node',
    {
      phase: 'Pending',
      conditions: [
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'Unschedulable',
          message: '0/3 nodes are available',
        },
      ],
    },
    /Unschedulable: 0\/3 nodes/,
  ],
  [
    'memory that ended',
    {
      phase: 'Failed',
      containerStatuses: [{ name: 'drill', state: { terminated: { exitCode: 137, reason: 'OOMKilled' } } }],
    },
    /container drill ended with 137: OOMKilled/,
  ],
  [
    'a program that is not in the image',
    {
      phase: 'Failed',
      initContainerStatuses: [
        {
          name: 'etcd',
          state: { terminated: { exitCode: 4, reason: 'Error', message: 'no program etcd\u001b[2J' } },
        },
      ],
    },
    /container etcd ended with 4: Error: no program etcd\\u\{1b\}/,
  ],
];
for (const [what, status, why] of TROUBLES)
  test(`${what} makes it unknown, in the words of the pod`, () => {
    const { result, message } = drillOutcome(FAILED, [podOf(status)], undefined);
    assert.equal(result, 'Unknown');
    assert.match(message, why);
    assert.match(message, /\(DeadlineExceeded: was active longer\)$/);
  });

test('a Job whose pod is gone tells what was last seen of it, and else what the Job says', () => {
  assert.match(
    drillOutcome(FAILED, [], 'ErrImagePull').message,
    /could not be held: ErrImagePull \(DeadlineExceeded/,
  );
  assert.match(
    drillOutcome(FAILED, [], undefined).message,
    /could not be held: DeadlineExceeded: was active longer$/,
  );
  // Without a summary nobody knows, though the Job completed.
  assert.equal(drillOutcome(ENDED, [podWith('{"result":"fine"}')], undefined).result, 'Unknown');
});

test('no message is longer than a status takes', () => {
  const failedChecks = Array.from({ length: 70 }, (_, index) => ({
    name: `check ${index}`,
    detail: '\u0000'.repeat(50),
  }));
  const hostile = JSON.stringify({
    ...SUMMARY,
    result: 'failed',
    failedChecks,
    failed: 70,
    etcdVersion: 'x'.repeat(500),
  });
  const { message, figures } = drillOutcome(FAILED, [podWith(hostile, 3)], undefined);
  assert.ok(message.length <= 4_000);
  assert.equal(figures.etcdVersion?.length, 64);
});

test('a pod that begins in order is in no trouble; one whose containers ran had its Secret', () => {
  const begins = podOf({
    phase: 'Pending',
    initContainerStatuses: [{ name: 'carrier', state: { waiting: { reason: 'PodInitializing' } } }],
    containerStatuses: [{ name: 'drill', state: { waiting: { reason: 'ContainerCreating' } } }],
  });
  assert.deepEqual(
    [troubleOf(begins), hasMounted(begins), troubleOf(podOf(undefined))],
    [undefined, false, undefined],
  );
  const runs = podOf({
    phase: 'Running',
    initContainerStatuses: [{ name: 'carrier', state: { running: {} } }],
  });
  assert.deepEqual([troubleOf(runs), hasMounted(runs)], [undefined, true]);
});
