import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  baseMaker,
  brokenSegment,
  contentOf,
  randomContent,
  secondsIn,
  segmentOf,
  segmentsAt,
} from '../../test/harness/restore-points.ts';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import { choosePoint, type PointQuery, PointUnavailableError } from './choose-point.ts';
import { revisionOf, type TimelineContent } from './point-spans.ts';

const base = await baseMaker();

/** 10 … 30, a gap, 50 … 70, a break, 100 … 110. */
const content = contentOf(
  [base(10), base(25), base(50), base(100)],
  [
    ...segmentsAt([10, 20, 30]),
    ...segmentsAt([45, 60, 70], { chain: 'chain-2', gap: { after: 30n, reason: 'etcd was away' } }),
    brokenSegment(70, 'chain-2'),
    ...segmentsAt([80, 95, 110], { chain: 'chain-2' }),
  ],
);

test('a point is the newest base at or below it and the segments between', () => {
  const cases: [number | 'latest', number, number[]][] = [
    [10, 10, []],
    [11, 10, [10]],
    [20, 10, [10]],
    [21, 10, [10, 20]],
    [25, 25, []],
    [26, 25, [20]],
    [30, 25, [20]],
    [50, 50, []],
    [70, 50, [45, 60]],
    [100, 100, []],
    [101, 100, [95]],
    ['latest', 100, [95]],
  ];
  for (const [which, from, segments] of cases) {
    const point = choosePoint(content, which === 'latest' ? { kind: 'latest' } : atRevision(which));
    assert.equal(Number(revisionOf(point.base)), from, String(which));
    assert.deepEqual(
      point.segments.map((segment) => Number(segment.from)),
      segments,
      String(which),
    );
    const revision = which === 'latest' ? 110 : which;
    assert.deepEqual([point.revision, point.seenAt], [BigInt(revision), secondsIn(revision)]);
  }
});

test('a time stands for the last revision that had been seen', () => {
  for (const [seconds, revision] of [
    [10, 10],
    [17.4, 17],
    [30, 30],
    [60.9, 60],
    [110, 110],
  ] as const) {
    assert.equal(choosePoint(content, atTime(seconds)).revision, BigInt(revision), String(seconds));
  }
  // Nothing happened from 30 to 50, and segments show it: the state at 40 is that of 30.
  const quiet = contentOf([base(10)], [segmentOf(10, 30), late(segmentOf(30, 60), 20)]);
  assert.equal(choosePoint(quiet, atTime(40)).revision, 30n);
});

test('what can’t be restored is refused with the reason and the nearest points', () => {
  const sides = (before: number | undefined, after: number | undefined) => [before, after];
  const cases: [PointQuery, string, RegExp, (number | undefined)[]][] = [
    [atRevision(9), 'point.before-first', /before the first base/, sides(undefined, 10)],
    [atRevision(31), 'point.gap', /revisions 31 to 49 are a gap: etcd was away/, sides(30, 50)],
    [atRevision(49), 'point.gap', /etcd was away/, sides(30, 50)],
    [atRevision(71), 'point.break', /71 to 99\): chain-2\/70 is damaged/, sides(70, 100)],
    [atRevision(99), 'point.break', /behind a break/, sides(70, 100)],
    [atRevision(111), 'point.not-captured', /nothing as new/, sides(110, undefined)],
    [atTime(9), 'point.before-first', /00:00:09.000Z/, sides(undefined, 10)],
    [atTime(40), 'point.gap', /etcd was away/, sides(30, 50)],
    [atTime(75), 'point.break', /behind a break/, sides(70, 100)],
    [atTime(111), 'point.not-captured', /nothing as new/, sides(110, undefined)],
  ];
  for (const [query, code, message, [before, after]] of cases) {
    assert.throws(
      () => choosePoint(content, query),
      (error) => {
        assert.ok(error instanceof PointUnavailableError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.equal(
          error.before?.revision,
          before === undefined ? undefined : BigInt(before),
          error.message,
        );
        assert.equal(error.after?.revision, after === undefined ? undefined : BigInt(after), error.message);
        for (const side of [before, after]) {
          if (side !== undefined) assert.match(error.hint ?? '', new RegExp(`revision ${side} `));
        }
        return true;
      },
    );
  }
});

test('a break at the end, compacted history and a timeline without bases have their own words', () => {
  const ended = contentOf([base(10)], [segmentOf(10, 20), brokenSegment(20), segmentOf(30, 40)]);
  assert.equal(choosePoint(ended, { kind: 'latest' }).revision, 20n);
  assert.throws(() => choosePoint(ended, atRevision(35)), { code: 'point.break' });
  assert.throws(() => choosePoint(ended, atTime(35)), { code: 'point.break' });
  assert.throws(() => choosePoint(ended, atRevision(41)), { code: 'point.not-captured' });

  const { snapshot } = base(10).manifest;
  const compacted = contentOf([base(10, { snapshot: { ...snapshot, compactRevision: 8n } })]);
  assert.throws(() => choosePoint(compacted, atRevision(8)), { code: 'point.compacted' });
  assert.throws(() => choosePoint(compacted, atRevision(9)), { code: 'point.before-first' });
  assert.throws(() => choosePoint(contentOf([]), { kind: 'latest' }), { code: 'point.none' });
});

test('whatever stands there, a point found is whole, and one refused could not be made', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = seededRandom(seed);
    const made = randomContent(random, base);
    for (let revision = 0; revision < 130; revision += random.integer(1, 4)) {
      const reachable = canBeMade(made, revision);
      try {
        const point = choosePoint(made, atRevision(revision));
        assert.ok(reachable, `seed ${seed}, revision ${revision}`);
        let end = revisionOf(point.base);
        assert.ok(end <= BigInt(revision));
        for (const { from, to } of point.segments) {
          assert.ok(from <= end && to > end && end < BigInt(revision), `seed ${seed}, revision ${revision}`);
          end = to;
        }
        assert.ok(end >= BigInt(revision));
        assert.equal(choosePoint(made, { kind: 'time', time: point.seenAt }).revision, BigInt(revision));
      } catch (error) {
        if (!(error instanceof PointUnavailableError)) throw error;
        assert.ok(!reachable, `seed ${seed}, revision ${revision}: ${error.message}`);
        assert.ok((error.before?.revision ?? -1n) < BigInt(revision));
        assert.ok((error.after?.revision ?? 1000n) > BigInt(revision));
      }
    }
  }
});

/** Slowly, by the definition: some base at or below it, and segments for each revision between. */
function canBeMade({ bases, segments }: TimelineContent, revision: number): boolean {
  const isCovered = (one: bigint): boolean =>
    segments.some((segment) => segment.state === 'sound' && segment.from < one && one <= segment.to);
  return bases.some((one) => {
    if (revisionOf(one) > BigInt(revision)) return false;
    for (let at = revisionOf(one) + 1n; at <= BigInt(revision); at++) if (!isCovered(at)) return false;
    return true;
  });
}

function late(segment: ReturnType<typeof segmentOf>, seconds: number): ReturnType<typeof segmentOf> {
  const shifted = segmentOf(Number(segment.from) + seconds, Number(segment.to) + seconds);
  return { ...segment, times: shifted.times };
}

function atRevision(revision: number): PointQuery {
  return { kind: 'revision', revision: BigInt(revision) };
}

function atTime(seconds: number): PointQuery {
  return { kind: 'time', time: secondsIn(seconds) };
}
