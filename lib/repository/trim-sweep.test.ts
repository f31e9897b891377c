import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedTimelines, type CapturedTimelines } from '../../test/harness/captured-timelines.ts';
import { HOUR_MS, repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { GuardianError } from '../guardian-error.ts';
import { FaultInjectingStore } from '../storage/fault-injecting-store.ts';
import { openRepository } from './open-repository.ts';
import type { Repository } from './repository.ts';
import { markTrim } from './trims.ts';

const by = { by: 'alice' };

test('what retention trims is hidden at once, can be had back, and is deleted after 24 hours', async () => {
  await using made = await capturedTimelines();
  const { repository, clock } = made;
  const [first] = made.bases;
  assert.ok(first);
  const plan = await repository.planRetention('prod', { keepLast: 2 });
  assert.deepEqual(await repository.applyRetention('prod', { keepLast: 2 }, by), plan);
  assert.deepEqual(
    plan.remove.map(({ backup }) => backup.id),
    [made.bases[1]?.id, made.bases[0]?.id],
  );
  assert.deepEqual(await revisions(repository), ['101-121', '91-91']);

  await repository.points.undoTrim(first, undefined, by);
  await repository.undeleteBackup(first, by);
  assert.deepEqual(await revisions(repository), ['101-121', '91-91', '21-61']);

  await repository.applyRetention('prod', { keepLast: 2 }, by);
  clock.advance(23 * HOUR_MS);
  assert.deepEqual(await sweptNames(repository), []);
  clock.advance(2 * HOUR_MS);
  const expected = [
    ...['0000000000000000021', '0000000000000000031', '0000000000000000041', '0000000000000000051'],
    '0000000000000000091',
  ].map((name) => `${name}.segment`);
  const dry = await sweptNames(repository, true);
  assert.deepEqual(
    dry.filter((name) => name.endsWith('.segment')),
    expected,
  );
  assert.deepEqual(await sweptNames(repository), dry);
  assert.deepEqual(await sweptNames(repository), []);
  assert.deepEqual(await revisions(repository), ['101-121', '91-91']);
  await repository.points.undoTrim(first, undefined, by);
  assert.deepEqual((await repository.points.trims(first)).trimmed.length, 1);
});

test('segments outlive the backup that their chain began with', async () => {
  await using made = await capturedTimelines();
  const { repository, clock } = made;
  const [first] = made.bases;
  assert.ok(first);
  await repository.removeBackup(first, by);
  clock.advance(25 * HOUR_MS);
  assert.deepEqual(await sweptNames(repository), ['base.zst.sealed', 'manifest.json']);
  clock.advance(25 * HOUR_MS);
  assert.deepEqual(await sweptNames(repository), []);
  const point = await repository.points.find(
    'prod',
    { kind: 'revision', revision: 45n },
    { timeline: '000001' },
  );
  assert.equal(point.segments.length, 1);
});

test('what can’t be deleted stays hidden, and is tried again', async () => {
  await using made = await capturedTimelines();
  const { clock, settings, repository } = made;
  const denied = new GuardianError('store.denied', 'Object Lock');
  const store = new FaultInjectingStore(settings.store, (operation, _call, name) =>
    operation === 'delete' && name.endsWith('31.segment') ? { kind: 'refused', error: denied } : undefined,
  );
  const locked = await openRepository(repositorySettings(store, { ...testKeys(), clock: clock.read }));
  const [first] = made.bases;
  assert.ok(first);
  await trim(made, 21n, 41n);
  clock.advance(25 * HOUR_MS);
  const report = await locked.sweep();
  assert.deepEqual([report.deleted.length, report.refused.length], [1, 1]);
  assert.equal((await revisions(repository)).at(-1), '21-21');
  assert.deepEqual(await sweptNames(repository), ['0000000000000000031.segment']);
});

test('a trim that nobody trusted signed deletes nothing', async () => {
  await using made = await capturedTimelines();
  const before = await revisions(made.repository);
  await trim({ ...made, settings: { ...made.settings, ...testKeys(9) } }, 0n, 1000n);
  made.clock.advance(50 * HOUR_MS);
  assert.deepEqual(await sweptNames(made.repository), []);
  const points = await made.repository.points.list('prod');
  assert.deepEqual(await revisions(made.repository), before);
  assert.deepEqual(
    points.flatMap(({ problems }) => problems.map(({ code }) => code)),
    ['signature.untrusted'],
  );
});

test('of many trims only the last few are kept', async () => {
  await using made = await capturedTimelines();
  for (let at = 21n; at < 41n; at++) await trim(made, at, at + 1n);
  made.clock.advance(12 * HOUR_MS);
  assert.deepEqual(await sweptNames(made.repository), []);
  made.clock.advance(13 * HOUR_MS);
  const swept = await sweptNames(made.repository);
  assert.deepEqual(swept.slice(0, 2), ['0000000000000000021.segment', '0000000000000000031.segment']);
  // 20 trims, and the sweep's own.
  assert.equal(swept.length - 2, 21 - 1 - 8 - 1);
  const [first] = made.bases;
  assert.ok(first);
  const { trimmed, last } = await made.repository.points.trims(first);
  assert.deepEqual([trimmed.map(({ from, to }) => [from, to]), last], [[[21n, 41n]], 21]);
});

async function trim({ settings, bases }: CapturedTimelines, from: bigint, to: bigint): Promise<void> {
  const [chain] = bases;
  assert.ok(chain);
  await markTrim(settings, chain, { action: 'trim', ranges: [{ from, to }] }, by, undefined);
}

/** Ranges that can be restored, newest first. */
async function revisions(repository: Repository): Promise<string[]> {
  const points = await repository.points.list('prod');
  return points.flatMap(({ spans }) =>
    spans.flatMap((span) => (span.kind === 'range' ? [`${span.from.revision}-${span.to.revision}`] : [])),
  );
}

async function sweptNames(repository: Repository, dryRun = false): Promise<string[]> {
  const { deleted } = await repository.sweep({ dryRun });
  return deleted.map(({ name }) => name.slice(name.lastIndexOf('/') + 1));
}
