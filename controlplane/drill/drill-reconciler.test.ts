import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { Job } from './drill-job.ts';
import { type DrillApi, drillsInMemory, heldPodOf, podOf } from './drills-in-memory.fixture.ts';

const MINUTE = 1 / 60;
const HOUR_MS = 3_600_000;

describe('a drill that was begun', () => {
  test('without a right to make its Secret it is not written down: its Job goes on, and why it waits is told', async () => {
    const { look, jobs, secrets, told, written } = await drillsInMemory({
      onSecret() {
        throw new GuardianError('kubernetes.forbidden', 'exceeded quota: secrets');
      },
    });
    await look(1);
    assert.deepEqual([jobs.length, secrets.length, written.length], [1, 0, 0]);
    await look(1 + MINUTE);
    assert.equal(told.length, 1);
    await look(1 + 3 * MINUTE);
    assert.deepEqual([jobs.length, written.length], [1, 0]);
    assert.match(told.at(-1) ?? '', /^nightly DrillWaiting: Job \S+ does not run: exceeded quota: secrets/);
  });

  for (const [what, pods] of [
    ['without a pod', () => []],
    ['whose pod waits for a volume', (job) => [podOf(job, { waiting: { reason: 'PodInitializing' } })]],
  ] satisfies [string, DrillApi['pods']][])
    test(`${what} is told after two minutes, once`, async () => {
      const { look, told } = await drillsInMemory({ pods });
      await look(1);
      await look(1 + MINUTE);
      assert.deepEqual(
        told.map((text) => text.split(/[ :]/)[1]),
        ['DrillStarted'],
      );
      await look(1 + 3 * MINUTE);
      await look(1 + 4 * MINUTE);
      assert.equal(told.length, 2);
      assert.match(
        told[1] ?? '',
        /^nightly DrillWaiting: Job \S+ does not run: no container has begun.*get events/,
      );
    });

  test('whose pod runs waits for nothing', async () => {
    const { look, told } = await drillsInMemory({ pods: (job) => [podOf(job, { running: {} })] });
    await look(1);
    await look(1 + 3 * MINUTE);
    assert.equal(told.length, 1);
  });
});

const PULLING = { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' } };

function drillOf({ status }: EtcdBackup): { result?: string; attempts?: number; message?: string } {
  return status?.validationResult?.drill ?? {};
}

/** Begun at hour 1; its Job was deleted while its pod goes on, as long as the Job is among the orphans. */
async function drillWithoutItsJob() {
  const orphans: Job[] = [];
  const drills = await drillsInMemory({
    pods: (job) => [heldPodOf(job)],
    orphans: () => orphans.map(heldPodOf),
  });
  await drills.look(1);
  orphans.push(...drills.jobs.splice(0));
  return { ...drills, orphans };
}

function drilledBy(jobs: readonly Job[]): (string | undefined)[] {
  return jobs.map(({ metadata }) => metadata.annotations?.['etcdguardian.io/backup-name']);
}

describe('a drill that can’t begin', () => {
  for (const [what, pods, why] of [
    ['whose image can’t be pulled', (job) => [podOf(job, PULLING)], /ImagePullBackOff: Back-off pulling/],
    [
      'whose pod waits for a volume',
      (job) => [podOf(job, { waiting: {} })],
      /no container has begun.*Secret/,
    ],
    ['whose program is not copied', (job) => [podOf(job, { running: {} })], /no container has begun/],
    ['without a pod', () => [], /no container has begun/],
  ] satisfies [string, DrillApi['pods'], RegExp][])
    test(`${what} is ended after 15 minutes, and the next one has its turn when it is gone`, async () => {
      const { look, jobs, backup } = await drillsInMemory({ backups: ['first', 'second'], pods });
      await look(1);
      await look(1 + 14 * MINUTE);
      assert.deepEqual([drilledBy(jobs), jobs[0]?.metadata.deletionTimestamp], [['first'], undefined]);
      await look(1 + 16 * MINUTE);
      assert.ok(jobs[0]?.metadata.deletionTimestamp);
      const { result, attempts, message } = drillOf(backup('first'));
      assert.deepEqual([result, attempts], ['Unknown', 1]);
      assert.match(message ?? '', why);
      assert.match(message ?? '', /had not begun 900 s after it was ordered, and was ended\)$/);
      await look(1 + 17 * MINUTE);
      assert.deepEqual(drilledBy(jobs), ['first']);
      jobs.shift();
      await look(1 + 18 * MINUTE);
      assert.deepEqual(drilledBy(jobs), ['second']);
    });

  test('is not one that runs: though a clock jumps, nothing else begins before its Job has ended', async () => {
    const { look, jobs, written } = await drillsInMemory({
      ...{ backups: ['first', 'second'], pods: (job) => [heldPodOf(job)] },
    });
    await look(1);
    for (const hours of [1.1, 9, 1_000, 2]) await look(hours);
    assert.deepEqual([drilledBy(jobs), written], [['first'], []]);
    assert.equal(jobs[0]?.metadata.deletionTimestamp, undefined);
  });

  test('nor one whose Job was made though the answer was lost, and that our copy doesn’t show yet', async () => {
    let isLost = true;
    let isBehind = true;
    const { look, jobs } = await drillsInMemory({
      ...{ backups: ['first', 'second'], isBehind: () => isBehind },
      onJob() {
        if (isLost) throw new GuardianError('kubernetes.timeout', 'no answer', { retryable: true });
      },
    });
    await look(1);
    isLost = false;
    await look(1 + MINUTE);
    assert.deepEqual(drilledBy(jobs), ['first']);
    isBehind = false;
    await look(1 + 2 * MINUTE);
    assert.deepEqual(drilledBy(jobs), ['first']);
  });

  test('but what runs without a Job for longer than any drill may is waited for no more', async () => {
    const { look, jobs } = await drillWithoutItsJob();
    await look(7);
    assert.deepEqual(jobs, []);
    await look(7.2);
    assert.deepEqual(drilledBy(jobs), ['nightly']);
  });

  test('nor one whose Job was deleted while its pod goes on', async () => {
    const { look, jobs, orphans } = await drillWithoutItsJob();
    await look(1.1);
    assert.deepEqual(jobs, []);
    orphans.length = 0;
    await look(1.1);
    assert.deepEqual(drilledBy(jobs), ['nightly']);
  });
});

describe('of many drills', () => {
  test('one that can’t be prepared now is put off, and others go on', async () => {
    let isAway = true;
    const { look, pass, jobs, told } = await drillsInMemory({
      backups: ['first', 'second'],
      pods: (job) => [heldPodOf(job)],
      onRead(name) {
        if (isAway && name === 'keys-of-first')
          throw new GuardianError('kubernetes.unavailable', 'its authorizer is away', { retryable: true });
      },
    });
    await look(1);
    assert.match(told[0] ?? '', /^first DrillPutOff: .*its authorizer is away/);
    await look(1);
    assert.deepEqual(drilledBy(jobs), ['second']);
    end(jobs);
    isAway = false;
    await look(1.1);
    await look(1.1);
    assert.deepEqual(drilledBy(jobs), ['second']);
    pass(6_000);
    await look(1.1);
    assert.deepEqual(drilledBy(jobs), ['second', 'first']);
  });

  for (const [what, code] of [
    ['admission refuses', 'kubernetes.forbidden'],
    ['always somebody else changes', 'kubernetes.conflict'],
  ] as const)
    test(`one whose status ${what} is held once, holds up no other, and is written down in the end`, async () => {
      let isRefused = true;
      const { look, pass, jobs, told, lines, backup } = await drillsInMemory({
        backups: ['first', 'second'],
        pods: (job) => [heldPodOf(job)],
        onStatus(name) {
          if (isRefused && name === 'first') throw new GuardianError(code, 'not this one');
        },
      });
      await look(1);
      end(jobs);
      await look(1.1);
      await look(1.1);
      assert.deepEqual(drilledBy(jobs), ['first', 'second']);
      end(jobs);
      for (let hours = 2; hours < 26; hours += 1) {
        pass(HOUR_MS);
        await look(hours);
      }
      assert.deepEqual([drillOf(backup('first')), drillOf(backup('second')).result], [{}, 'Passed']);
      assert.deepEqual(drilledBy(jobs), ['first', 'second']);
      assert.ok(lines.some(({ event }) => event === 'drill-not-written'));
      isRefused = false;
      pass(HOUR_MS);
      await look(27);
      assert.equal(drillOf(backup('first')).result, 'Passed');
      await look(27);
      assert.equal(told.filter((text) => text.startsWith('first DrillPassed')).length, 1);
    });

  test('one that is begun again under the same name has a Secret of its own', async () => {
    const { look, jobs, secrets } = await drillsInMemory();
    await look(1);
    const [deleted] = jobs.splice(0);
    await look(1);
    assert.equal(jobs[0]?.metadata.name, deleted?.metadata.name);
    const [before, again] = secrets;
    assert.notEqual(again?.metadata.name, before?.metadata.name);
    assert.equal(again?.metadata.ownerReferences?.[0]?.uid, jobs[0]?.metadata.uid);
    assert.ok(JSON.stringify(jobs[0]?.spec).includes(`"secretName":"${again?.metadata.name}"`));
  });
});

function end(jobs: Job[]): void {
  const conditions = [{ type: 'Complete', status: 'True' }];
  jobs.splice(0, jobs.length, ...jobs.map((job) => ({ ...job, status: { conditions } })));
}
