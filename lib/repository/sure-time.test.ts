import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Captured, type CapturedClock, capturedWith } from '../../test/harness/captured-clock.ts';
import { baseMaker, contentOf, secondsIn } from '../../test/harness/restore-points.ts';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import { choosePoint, PointUnavailableError } from './choose-point.ts';
import { doubtfulTimes } from './doubtful-times.ts';
import type { TimelineContent } from './point-spans.ts';
import { refuseDoubtfulTime } from './sure-time.ts';

const base = await baseMaker();

function contentWith({ segments }: Captured): TimelineContent {
  return contentOf([base(100, { completedAt: secondsIn(0) })], segments);
}

/** The seconds that are refused, as ranges; all others must give the true state, but for what happened in a second. */
function refusedOf(clock: CapturedClock, stride = 1): string[] {
  const captured = capturedWith(clock);
  const content = contentWith(captured);
  const refused: number[] = [];
  const last = content.segments.at(-1);
  const end = last?.state === 'sound' ? last.times.last : secondsIn(0);
  for (let second = 5; secondsIn(second) < end; second += stride) {
    const [earliest, latest] = [captured.revisionAt(second - 2), captured.revisionAt(second + 2)];
    const what = `${JSON.stringify(clock.steps)}, ${JSON.stringify(clock.pauses)}: second ${second}`;
    try {
      refuseDoubtfulTime(content, secondsIn(second));
      const { revision } = choosePoint(content, { kind: 'time', time: secondsIn(second) });
      const isDown = (clock.pauses ?? []).some(([from, to]) => from <= second && second < to);
      if (isDown) continue;
      assert.ok(earliest <= revision && revision <= latest, `${what} gives ${revision}, not ${latest}`);
    } catch (error) {
      if (!(error instanceof PointUnavailableError)) throw error;
      assert.equal(error.code, 'point.doubtful-time', what);
      const isDown = (clock.pauses ?? []).some(([from, to]) => from <= second && second <= to);
      if (!isDown) {
        assert.ok((error.before?.revision ?? 0n) <= latest, `${what}: not before ${error.before?.revision}`);
        assert.ok(
          (error.after?.revision ?? 9999n) >= earliest,
          `${what}: not after ${error.after?.revision}`,
        );
      }
      refused.push(second);
    }
  }
  return rangesOf(refused);
}

function rangesOf(seconds: readonly number[]): string[] {
  const starts = seconds.filter((second) => !seconds.includes(second - 1));
  const ends = seconds.filter((second) => !seconds.includes(second + 1));
  return starts.map((start, index) => `${start}-${ends[index] ?? start}`);
}

test('a clock that nobody sets puts nothing in doubt', () => {
  assert.deepEqual(refusedOf({ steps: [], until: 400 }), []);
  assert.deepEqual(
    refusedOf({
      steps: [
        [100, 0.9],
        [200, -0.9],
      ],
      until: 400,
    }),
    [],
  );
  assert.deepEqual(
    refusedOf({
      steps: [],
      pauses: [
        [100, 150],
        [220, 225],
      ],
      until: 400,
    }),
    [],
  );
});

test('from a jump ahead until times tell the truth again, none is chosen by time', () => {
  assert.deepEqual(
    refusedOf({
      steps: [
        [100, 300],
        [200, -300],
      ],
      until: 900,
    }),
    ['101-499'],
  );
});

test('a jump ahead that nobody has put right yet is refused where it jumped over', () => {
  const captured = capturedWith({ steps: [[100, 300]], until: 200 });
  const [doubt, ...more] = doubtfulTimes(contentWith(captured));
  assert.deepEqual(more, []);
  assert.equal(doubt?.kind, 'jumped');
  assert.deepEqual(
    [doubt.since, doubt.until, doubt.after, doubt.upTo],
    [secondsIn(100), secondsIn(400), 199n, 200n],
  );
});

test('a capture that is started between the jump and the correction leaves no hole in what is known', () => {
  const seen = refusedOf({
    steps: [
      [100, 300],
      [200, -300],
    ],
    pauses: [[145, 150]],
    until: 900,
  });
  assert.deepEqual(seen, ['101-499']);
  const jumpUnseen = refusedOf({
    steps: [
      [100, 300],
      [200, -300],
    ],
    pauses: [[95, 105]],
    until: 900,
  });
  assert.deepEqual(jumpUnseen, ['95-499']);
  const correctionUnseen = refusedOf({
    steps: [
      [100, 300],
      [200, -300],
    ],
    pauses: [[195, 205]],
    until: 900,
  });
  assert.equal(correctionUnseen.length, 1);
  const neitherSeen = {
    steps: [
      [100, 300],
      [200, -300],
    ],
    pauses: [
      [95, 105],
      [195, 205],
    ],
    until: 900,
  } as const;
  assert.equal(refusedOf(neitherSeen).length, 1);
});

test('a clock that was put back by mistake is refused until it was put right', () => {
  const [range = '', ...more] = refusedOf({
    steps: [
      [200, -100],
      [400, 100],
    ],
    until: 900,
  });
  assert.deepEqual([range, more], ['199-399', []]);
});

test('whatever clocks do, a state that is chosen by time is the right one once they were put right', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed);
    const by = random.integer(2, 300) * (random.next() < 0.7 ? 1 : -1);
    const [jump, put] = [random.integer(50, 150), random.integer(200, 400)];
    const pauses = [jump, put]
      .filter(() => by > 60 && random.next() < 0.5)
      .map((at) => [at - random.integer(1, 5), at + random.integer(1, 5)] as const);
    const slewed = [random.integer(160, 190), random.next() - 0.5] as const;
    refusedOf({ steps: [[jump, by], slewed, [put, -by]], pauses, until: 1000 }, 3);
  }
});

test('older programs leave no marks, and their times are read as ever', () => {
  const captured = capturedWith({
    steps: [
      [100, 300],
      [200, -300],
    ],
    watched: false,
    until: 900,
  });
  assert.deepEqual(doubtfulTimes(contentWith(captured)), []);
});
