import { CLOCK_NOISE_MS } from './clock-steps.ts';
import { PointUnavailableError } from './choose-point.ts';
import { type DoubtfulTimes, doubtfulTimes, doubtsAt } from './doubtful-times.ts';
import {
  type PointInTime,
  type PointSpan,
  type RestorableRange,
  revisionAt,
  seenAt,
  spansOf,
  type TimelineContent,
} from './point-spans.ts';

/**
 * Throws `point.doubtful-time` where a clock had stepped, so that nobody can say what the state at a time was, naming
 * the oldest and the newest that it may have been. `content`: all of the timeline.
 */
export function refuseDoubtfulTime(content: TimelineContent, time: Date): void {
  const doubts = doubtsAt(doubtfulTimes(content), time);
  const [doubt] = doubts;
  if (doubt === undefined) return;
  const spans = spansOf(content);
  const candidates = doubts.map((one) => candidatesAt(content, spans, one, time));
  const before = furthest(candidates, 0, (a, b) => a < b);
  const after = furthest(candidates, 1, (a, b) => a > b);
  if (before?.revision === after?.revision) return;
  const { timeline } = content;
  throw new PointUnavailableError(
    'point.doubtful-time',
    `the state at ${time.toISOString()} (timeline ${timeline}) isn't known for sure: ${reasonOf(doubt)}`,
    before && { timeline, ...before },
    after && { timeline, ...after },
    `Choose one of these, or one between, with --to-revision: "points list" draws where times are in doubt, "history get" tells what became of a key.`,
  );
}

function reasonOf({ kind, wrongByMs, since, until }: DoubtfulTimes): string {
  const by = `${Math.round(Math.abs(wrongByMs) / 1000)} s`;
  const when = `times from ${since.toISOString()} to ${until.toISOString()} are in doubt`;
  switch (kind) {
    case 'corrected':
      return `the clock by which changes were seen was ${wrongByMs > 0 ? 'ahead' : 'behind'} by ${by} until it was put right; ${when}`;
    case 'put-back':
      return `the clock by which changes were seen was put back by ${by}, so it had been ahead; ${when}`;
    case 'jumped':
      return `the clock by which changes were seen jumped ahead by ${by}; ${when}`;
  }
}

type Candidates = readonly [oldest: PointInTime | undefined, newest: PointInTime | undefined];

/** The oldest and the newest state that it may have been. */
function candidatesAt(
  { segments }: TimelineContent,
  spans: readonly PointSpan[],
  { kind, wrongByMs, atMostMs, step, until, after }: DoubtfulTimes,
  time: Date,
): Candidates {
  const told = (at: Date): PointInTime | undefined => toldAt(spans, at);
  const shifted = (ms: number): Date => new Date(time.getTime() + ms);
  if (kind === 'jumped') return [told(shifted(-wrongByMs)) ?? told(time), told(shifted(wrongByMs))];
  if (wrongByMs < 0) return [pointAt(spans, after), told(until)];
  const corrected = shifted(atMostMs + CLOCK_NOISE_MS);
  if (corrected < step.before) return [told(time), told(corrected)];
  // Behind the step times stand still: only when segments were begun is known by the clock that was put right.
  const behind = segments.filter((segment) => segment.state === 'sound' && segment.to > step.revision);
  const seen = behind.filter(
    (one, index) => index === 0 || (one.state === 'sound' && one.openedAtMs <= time.getTime()),
  );
  const newest = seen.reduce(
    (to, one) => (one.state === 'sound' && one.to > to ? one.to : to),
    step.revision,
  );
  return [told(time), pointAt(spans, newest) ?? told(until)];
}

/** What the times as they stand tell. */
function toldAt(spans: readonly PointSpan[], time: Date): PointInTime | undefined {
  const range = ranges(spans).findLast(({ from }) => from.seenAt <= time);
  if (range === undefined) return undefined;
  return time >= range.to.seenAt ? range.to : pointIn(range, revisionAt(range, time));
}

function pointAt(spans: readonly PointSpan[], revision: bigint): PointInTime | undefined {
  const range = ranges(spans).find(({ from, to }) => from.revision <= revision && revision <= to.revision);
  return range && pointIn(range, revision);
}

function pointIn(range: RestorableRange, revision: bigint): PointInTime {
  return { revision, seenAt: seenAt(range, revision) };
}

function ranges(spans: readonly PointSpan[]): RestorableRange[] {
  return spans.filter((span) => span.kind === 'range');
}

function furthest(
  candidates: readonly Candidates[],
  side: 0 | 1,
  isFurther: (a: bigint, b: bigint) => boolean,
): PointInTime | undefined {
  return candidates.reduce<PointInTime | undefined>((found, { [side]: one }) => {
    if (one === undefined || found === undefined) return found ?? one;
    return isFurther(one.revision, found.revision) ? one : found;
  }, undefined);
}
