import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedTimelines, type CapturedTimelines } from '../../test/harness/captured-timelines.ts';
import { type PointQuery, PointUnavailableError } from './choose-point.ts';
import { segmentName } from './layout.ts';
import type { PointSpan } from './point-spans.ts';
import type { RestorePoint } from './points.ts';
import { markTrim } from './trims.ts';

test('points are listed by timeline, newest first, from what stands in the store', async () => {
  await using made = await capturedTimelines();
  const points = await made.repository.points.list('prod');
  assert.deepEqual(
    points.map(({ timeline, spans }) => [timeline.timeline, ...spans.map(textOf)]),
    [
      ['000002', '101-121'],
      ['000001', '91-101', 'gap 62-90: the watch was compacted past', '21-61'],
    ],
  );
  const [newest, older] = points;
  assert.equal(newest?.endedAt, undefined);
  assert.ok(newest?.timeline.state === 'sound' && older?.timeline.state === 'sound');
  assert.deepEqual(older.endedAt, newest.timeline.begunAt);
  assert.deepEqual([newest.timeline.reason, older.timeline.reason], ['restored', 'first']);
});

test('a point is found by revision, by time and as the latest', async () => {
  await using made = await capturedTimelines();
  const latest = await find(made, { kind: 'latest' });
  assert.deepEqual([latest.timeline, latest.revision, latest.segments.length], ['000002', 121n, 2]);
  assert.deepEqual([latest.behind, latest.passedOver], [undefined, []]);

  const byRevision = await find(made, { kind: 'revision', revision: 45n }, '000001');
  assert.deepEqual(byRevision.base.id, made.bases[1]?.id);
  assert.deepEqual(
    byRevision.segments.map(({ head }) => [head.from, head.to]),
    [[41n, 51n]],
  );
  const atBase = await find(made, { kind: 'revision', revision: 41n }, '000001');
  assert.deepEqual([atBase.base.id, atBase.segments], [made.bases[1]?.id, []]);

  for (const revision of [31n, 51n, 61n]) {
    const { seenAt } = await find(made, { kind: 'revision', revision }, '000001');
    const byTime = await find(made, { kind: 'time', time: seenAt });
    assert.deepEqual([byTime.timeline, byTime.revision, byTime.seenAt], ['000001', revision, seenAt]);
  }
});

test('what can’t be had is refused, and an older timeline that has it is named', async () => {
  await using made = await capturedTimelines();
  const cases: [PointQuery, string | undefined, string, RegExp][] = [
    [revision(70n), '000001', 'point.gap', /revision 61 .*; the first one after it is revision 91 /],
    [revision(102n), '000001', 'point.not-captured', /revision 101 /],
    [revision(3n), '000001', 'point.before-first', /revision 21 /],
    [
      revision(45n),
      undefined,
      'point.before-first',
      /Timeline 000001 has that revision: .* --timeline 000001/,
    ],
    [revision(70n), undefined, 'point.before-first', /revision 101 \(.*\) of timeline 000002\.$/],
    [{ kind: 'time', time: new Date('2001-01-01') }, undefined, 'point.before-first', /timeline 000001\.$/],
    [{ kind: 'time', time: new Date('2101-01-01') }, undefined, 'point.not-captured', /revision 121 /],
  ];
  for (const [query, timeline, code, hint] of cases) {
    await assert.rejects(find(made, query, timeline), { code, hint, name: 'PointUnavailableError' });
  }
  await assert.rejects(find(made, { kind: 'latest' }, '000007'), {
    code: 'repository.not-found',
    hint: /000002, 000001/,
  });
  await assert.rejects(made.repository.points.find('other', { kind: 'latest' }), {
    code: 'repository.not-found',
  });
});

test('between the end of a timeline and the first base of the next nothing is known', async () => {
  await using made = await capturedTimelines();
  const [newest] = await made.repository.points.list('prod');
  assert.ok(newest?.timeline.state === 'sound');
  await assert.rejects(find(made, { kind: 'time', time: newest.timeline.begunAt }), (error) => {
    assert.ok(error instanceof PointUnavailableError);
    assert.deepEqual(
      [
        error.code,
        error.before?.timeline,
        error.before?.revision,
        error.after?.timeline,
        error.after?.revision,
      ],
      ['point.not-captured', '000001', 101n, '000002', 101n],
    );
    return true;
  });
});

test('behind a missing or damaged segment points are refused up to the next base; before it they stay', async () => {
  await using made = await capturedTimelines();
  const [first] = made.bases;
  assert.ok(first);
  await made.settings.store.delete(segmentName(first, 51n));
  assert.equal((await find(made, revision(51n), '000001')).revision, 51n);
  await assert.rejects(find(made, revision(55n), '000001'), {
    code: 'point.break',
    message: /revisions 52 to 90\): they were captured up to revision 61, but their segments are gone/,
  });
  assert.equal((await find(made, revision(95n), '000001')).revision, 95n);

  const name = segmentName(first, 31n);
  await made.settings.store.delete(name);
  await made.settings.store.putIfAbsent(name, Buffer.from('something else'));
  await assert.rejects(find(made, revision(35n), '000001'), { code: 'point.break' });
  // A base under the capture begins anew.
  assert.equal((await find(made, revision(45n), '000001')).revision, 45n);
});

test('a base that is removed or damaged is passed over, and its points come from the one before', async () => {
  await using made = await capturedTimelines();
  const [first, second] = made.bases;
  assert.ok(first && second);
  const before = await find(made, revision(45n), '000001');
  assert.equal(before.base.id, second.id);
  assert.equal(await made.repository.points.lostWithout(second), undefined);
  await made.repository.removeBackup(second, { by: 'alice' });
  const after = await find(made, revision(45n), '000001');
  assert.deepEqual([after.base.id, after.segments.length], [first.id, 3]);

  const lost = await made.repository.points.lostWithout(first);
  assert.deepEqual([lost?.from.revision, lost?.to.revision], [21n, 61n]);
  await made.repository.removeBackup(first, { by: 'alice' });
  const [, older] = await made.repository.points.list('prod');
  assert.deepEqual(older?.spans.map(textOf), [
    '91-101',
    'no-base 22-90: segments are there, but no base before them that can be used',
  ]);
});

test('what goes with a backup is what nothing before it reaches', async () => {
  await using made = await capturedTimelines();
  const lost: (string | undefined)[] = [];
  for (const backup of made.bases) {
    const points = await made.repository.points.lostWithout(backup);
    lost.push(points && `${points.from.revision}-${points.to.revision}`);
  }
  // Without the first one, the base under its capture still makes what follows that.
  assert.deepEqual(lost, ['21-40', undefined, '91-101', '101-121']);
});

test('what is trimmed is hidden at once, and back when that is undone', async () => {
  await using made = await capturedTimelines();
  const [first] = made.bases;
  assert.ok(first);
  const ranges = [{ from: 21n, to: 41n }];
  const { last } = await markTrim(
    made.settings,
    first,
    { action: 'trim', ranges },
    { by: 'alice' },
    undefined,
  );
  await assert.rejects(find(made, revision(35n), '000001'), {
    code: 'point.trimmed',
    message: /removed by alice/,
  });
  const [, older] = await made.repository.points.list('prod');
  assert.match(older?.spans.map(textOf).join(', ') ?? '', /gap 62-90: .*, 41-61, trimmed 22-40: .*, 21-21$/);
  const { points } = made.repository;
  assert.equal((await points.trims(first)).trimmed.length, 1);
  const undone = await points.undoTrim(first, last, { by: 'alice' });
  assert.deepEqual(undone.trimmed, []);
  assert.equal((await find(made, revision(35n), '000001')).revision, 35n);
});

test('the latest point tells what is newer and out of reach', async () => {
  await using made = await capturedTimelines();
  const last = made.bases.at(-1);
  assert.ok(last);
  await made.settings.store.delete(segmentName(last, 101n));
  const latest = await find(made, { kind: 'latest' });
  assert.deepEqual([latest.timeline, latest.revision], ['000002', 101n]);
  assert.equal(latest.behind?.cause, 'gap');
  assert.equal(latest.behind.last, 121n);
});

function find(
  { repository }: CapturedTimelines,
  query: PointQuery,
  timeline?: string,
): Promise<RestorePoint> {
  return repository.points.find('prod', query, { timeline });
}

function revision(value: bigint): PointQuery {
  return { kind: 'revision', revision: value };
}

function textOf(span: PointSpan): string {
  return span.kind === 'range'
    ? `${span.from.revision}-${span.to.revision}`
    : `${span.cause} ${span.first}-${span.last}: ${span.reason}`;
}
