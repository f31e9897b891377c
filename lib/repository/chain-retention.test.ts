import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  baseMaker,
  brokenSegment,
  contentOf,
  secondsIn,
  segmentOf,
  segmentsAt,
} from '../../test/harness/restore-points.ts';
import { seededRandom, type SeededRandom } from '../../test/harness/seeded-random.ts';
import { trimsIn } from './apply-retention.ts';
import { choosePoint } from './choose-point.ts';
import { type PointInTime, revisionOf, spansOf, type TimelineContent } from './point-spans.ts';
import type { SoundBackup } from './repository.ts';
import { type Holdings, planRetention } from './retention.ts';
import type { RetentionPlan, RetentionPolicy } from './retention-policy.ts';
import { followsOf } from './segment-outline.ts';
import { isTrimmed } from './trimmed-segments.ts';

const base = await baseMaker();
const HOUR = 3600;
const hours = (count: number): number => count * HOUR * 1000;

/** Revision r was seen r seconds in: bases every six hours, a segment an hour, for two days; now is 49 h in. */
const now = secondsIn(49 * HOUR);
const sixHourly = [0, 6, 12, 18, 24, 30, 36, 42, 48].map((hour) => base(hour * HOUR + 1));
const hourly = segmentsAtHours(0, 48);

test('thinning keeps what the kept points need, and trims the rest', () => {
  const cases: [string, RetentionPolicy, number[], string[]][] = [
    ['nothing said', {}, [0, 6, 12, 18, 24, 30, 36, 42, 48], ['keep 0-48']],
    ['the newest point only', { keepLast: 1 }, [48], ['keep 47-48', 'trim 0-47']],
    ['the newest base, and what follows it', { maxBackups: 1 }, [48], ['keep 47-48', 'trim 0-47']],
    ['from the second newest base on', { maxBackups: 2 }, [42, 48], ['keep 42-48', 'trim 0-42']],
    ['bases alone', { keepLast: 3 }, [36, 42, 48], ['keep 47-48', 'trim 0-47']],
    ['a day', { keepWithinMs: hours(24) }, [24, 30, 36, 42, 48], ['keep 24-48', 'trim 0-24']],
    ['a day and a bit', { keepWithinMs: hours(26) }, [18, 24, 30, 36, 42, 48], ['keep 18-48', 'trim 0-18']],
    ['by age', { maxAgeMs: hours(26) }, [18, 24, 30, 36, 42, 48], ['keep 18-48', 'trim 0-18']],
    [
      'hours are bases or ends of segments',
      { keepHourly: 4 },
      [42, 48],
      ['keep 47-48', 'keep 42-47', 'trim 0-42'],
    ],
    ['days are bases', { keepDaily: 2 }, [42, 48], ['keep 47-48', 'trim 0-47']],
    ['days and hours', { keepDaily: 2, keepHourly: 2 }, [42, 48], ['keep 42-48', 'trim 0-42']],
    ['weeks', { keepWeekly: 5 }, [18, 48], ['keep 47-48', 'trim 0-47']],
    ['limits count first', { keepDaily: 9, maxAgeMs: hours(8) }, [42, 48], ['keep 47-48', 'trim 0-47']],
    ['none wanted', { maxBackups: 0 }, [48], ['keep 47-48', 'trim 0-47']],
    ['one schedule’s backups', { maxBackups: 1, labels: { schedule: 'x' } }, [], ['keep 0-48']],
  ];
  for (const [name, policy, kept, segments] of cases) {
    const plan = planRetention(holdings([contentOf(sixHourly, hourly)]), policy, now);
    assert.deepEqual(
      plan.keep.map(({ backup }) => hourOf(backup)),
      kept.toReversed(),
      name,
    );
    assert.deepEqual(mergedText(plan), merged(segments), name);
    for (const { reason } of [...plan.keep, ...plan.remove, ...plan.segments]) assert.ok(reason.length > 0);
  }
});

test('the plan says why, line by line', () => {
  const content = contentOf(sixHourly.slice(-3), [...segmentsAtHours(36, 40), brokenSegment(40 * HOUR + 1)]);
  const plan = planRetention(holdings([content]), { keepHourly: 2, keepWithinMs: hours(2) }, now);
  assert.deepEqual(
    plan.keep.map(({ backup, reason }) => [hourOf(backup), reason]),
    [
      [48, 'the newest good one'],
      [42, 'hour 2026-11-23T18'],
    ],
  );
  assert.deepEqual(
    plan.remove.map(({ backup, reason }) => [hourOf(backup), reason]),
    [[36, 'no rule keeps it']],
  );
  assert.deepEqual(
    plan.segments.map(({ action, segments, bytes, reason }) => [action, segments, bytes, reason]),
    [
      ['keep', 1, 0, "not touched, because it can't be read: chain-1/144001 is damaged"],
      ['keep', 1, 100, 'capture goes on from there'],
      ['trim', 3, 300, 'no kept restore point needs them'],
    ],
  );
  assert.deepEqual(
    plan.points.map(({ revision, reasons }) => [Number(revision - 1n) / HOUR, reasons]),
    [
      [48, ['the newest restore point', 'hour 2026-11-24T00']],
      [42, ['hour 2026-11-23T18']],
    ],
  );
});

test('a timeline’s only good backup goes only with a word about it', () => {
  const old = { ...contentOf([base(100)]), timeline: '000001' };
  const newest = { ...contentOf([base(200, { timeline: '000002' })]), timeline: '000002' };
  const plan = planRetention(holdings([newest, old]), { keepLast: 1 }, now);
  assert.deepEqual(
    plan.remove.map(({ reason }) => reason),
    ['no rule keeps it; it is the only good one of timeline 000001'],
  );
});

test('segments behind a break are kept for a person while they are young, and the end of capture always', () => {
  const content = contentOf(
    [base(100), base(400)],
    [segmentOf(100, 200), brokenSegment(200), segmentOf(300, 350), segmentOf(500, 600, { chain: 'chain-2' })],
  );
  const trimmed = (policy: RetentionPolicy): string[] =>
    mergedText(planRetention(holdings([content]), policy, secondsIn(600)));
  assert.deepEqual(
    trimmed({ keepWithinMs: 100_000 }),
    ['keep 500-600', 'keep 200-201', 'trim 300-350', 'trim 100-200'].sort(),
  );
  // As long as an older point is kept, a person may put right what is missing.
  assert.deepEqual(
    trimmed({ keepLast: 2 }),
    ['keep 500-600', 'keep 200-201', 'keep 300-350', 'trim 100-200'].sort(),
  );
  assert.deepEqual(
    trimmed({ keepWithinMs: 280_000 }),
    ['keep 500-600', 'keep 200-201', 'keep 300-350', 'trim 100-200'].sort(),
  );
});

test('whatever a policy says, what it keeps can be restored from what it leaves, and it says the same again', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const held = holdings([randomTimeline(random, '000002', 200), randomTimeline(random, '000001', 0)]);
    const policy = randomPolicy(random);
    const when = secondsIn(random.integer(350, 600) * HOUR);
    const plan = planRetention(held, policy, when);
    const left = after(held, plan);
    const told = `seed ${seed}, ${JSON.stringify(policy)}`;
    for (const point of [...plan.points, ...within(held, policy, when), ...newestPoint(held)]) {
      const content = left.timelines.find(({ timeline }) => timeline === point.timeline);
      assert.ok(content, told);
      const found = choosePoint(content, { kind: 'revision', revision: point.revision });
      assert.equal(found.revision, point.revision, told);
    }
    // Where two captures ran at once, the ends of the segments that are left may choose other points.
    if (held.timelines.some(overlaps)) continue;
    const again = planRetention(left, policy, when);
    assert.deepEqual([again.remove, trimsIn(again)], [[], []], told);
  }
});

interface Point extends PointInTime {
  readonly timeline: string;
}

function newestPoint({ timelines }: Holdings): Point[] {
  for (const content of timelines) {
    if (content.bases.length > 0) return [choosePoint(content, { kind: 'latest' })];
  }
  return [];
}

/** Every third point that `keepWithinMs` promises. */
function within(
  { timelines }: Holdings,
  { keepWithinMs, maxAgeMs, maxBackups }: RetentionPolicy,
  when: Date,
): Point[] {
  if (keepWithinMs === undefined || maxBackups !== undefined) return [];
  const since = new Date(when.getTime() - Math.min(keepWithinMs, maxAgeMs ?? Infinity));
  return timelines.flatMap((content) =>
    spansOf(content).flatMap((span) => {
      if (span.kind === 'hole') return [];
      const points: Point[] = [];
      for (const { from, to } of span.segments) {
        for (let revision = from + 1n; revision <= to; revision += 3n) {
          if (revision < span.from.revision) continue;
          const point = choosePoint(content, { kind: 'revision', revision });
          if (point.seenAt >= since) points.push(point);
        }
      }
      return points;
    }),
  );
}

function after({ backups, timelines }: Holdings, plan: RetentionPlan): Holdings {
  const gone = new Set(plan.remove.map(({ backup }) => backup.id));
  const trims = trimsIn(plan);
  return {
    backups: backups.filter(({ id }) => !gone.has(id)),
    timelines: timelines.map((content) => ({
      ...content,
      bases: content.bases.filter(({ id }) => !gone.has(id)),
      segments: content.segments.filter((segment) => {
        const own = trims.find(
          ({ chain }) => chain.timeline === content.timeline && chain.id === segment.chain,
        );
        return own === undefined || !isTrimmed(own.ranges, followsOf(segment));
      }),
    })),
  };
}

function overlaps({ segments }: TimelineContent): boolean {
  const sound = segments.filter((segment) => segment.state === 'sound');
  return sound.some(({ from }, index) => from < (sound[index - 1]?.to ?? 0n));
}

function randomPolicy(random: SeededRandom): RetentionPolicy {
  const maybe = (value: () => number): number | undefined => (random.next() < 0.3 ? value() : undefined);
  const count = (): number => random.integer(0, 6);
  return {
    maxBackups: maybe(() => random.integer(0, 8)),
    maxAgeMs: maybe(() => hours(random.integer(0, 500))),
    keepWithinMs: maybe(() => hours(random.integer(0, 400))),
    ...{ keepLast: maybe(count), keepHourly: maybe(count), keepDaily: maybe(count) },
    ...{ keepWeekly: maybe(count), keepMonthly: maybe(count) },
  };
}

/** Revisions of an hour each: chains with bases before, under and behind them, gaps, breaks, overlaps. */
function randomTimeline(random: SeededRandom, timeline: string, start: number): TimelineContent {
  const segments: TimelineContent['segments'][number][] = [];
  const bases: SoundBackup[] = [];
  const slow = (revision: number): Date => secondsIn(revision * HOUR);
  const add = (revision: number): void => {
    const made = base(revision, { timeline, completedAt: slow(revision) });
    bases.push({ ...made, id: `${made.id}/${timeline}/${bases.length}` });
  };
  for (let chain = 1, at = start + random.integer(1, 20); at < start + 150; chain++) {
    if (random.next() < 0.9) add(at + random.integer(0, 3));
    for (let count = random.integer(0, 8); count > 0; count--) {
      const to = at + random.integer(1, 12);
      const id = `chain-${chain}`;
      segments.push(
        random.next() < 0.08 ? brokenSegment(at, id) : segmentOf(at, to, { chain: id, secondsEach: HOUR }),
      );
      if (random.next() < 0.3) add(random.integer(at, to + 1));
      at = to;
    }
    at += random.pick([-3, 0, 1, 2, 5, 9, 12, 15]);
  }
  bases.sort((a, b) => Number(revisionOf(a) - revisionOf(b)));
  segments.sort((a, b) => Number(a.from - b.from));
  return { ...contentOf(bases, segments), timeline };
}

function holdings(timelines: readonly TimelineContent[]): Holdings {
  return { backups: timelines.flatMap(({ bases }) => bases.toReversed()), timelines };
}

function segmentsAtHours(from: number, to: number): ReturnType<typeof segmentsAt> {
  return segmentsAt(Array.from({ length: to - from + 1 }, (_, index) => (from + index) * HOUR + 1));
}

function hourOf(backup: Holdings['backups'][number]): number {
  return backup.state === 'sound' ? Math.floor(Number(revisionOf(backup)) / HOUR) : -1;
}

/** Stretches as `keep 0-48`; in hours where they are that long. */
function mergedText({ segments }: RetentionPlan): string[] {
  const unit = (revision: bigint): number =>
    revision > 1000n || revision === 1n ? Math.floor(Number(revision) / HOUR) : Number(revision);
  return merged(segments.map(({ action, from, to }) => `${action} ${unit(from)}-${unit(to)}`));
}

/** Neighbours of one fate are one. */
function merged(stretches: readonly string[]): string[] {
  const joined: string[] = [];
  for (const stretch of stretches) {
    const [action, range = ''] = stretch.split(' ');
    const [lastAction, lastRange = ''] = (joined.at(-1) ?? '').split(' ');
    const [from, to] = range.split('-');
    if (action === lastAction && lastRange.split('-')[0] === to) {
      joined[joined.length - 1] = `${action} ${from}-${lastRange.split('-')[1]}`;
    } else joined.push(stretch);
  }
  return joined.sort();
}
