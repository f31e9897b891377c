import { CLOCK_NOISE_MS, type ClockStep, joinedSteps, stepMs } from './clock-steps.ts';
import { revisionOf, type TimelineContent } from './point-spans.ts';
import type { SegmentOutline } from './segment-outline.ts';

/** Times of which nobody can say for sure what the state was, because a clock had stepped. Revisions are not in doubt. */
export interface DoubtfulTimes {
  /** Exclusive, both. */
  readonly since: Date;
  readonly until: Date;
  /** The revisions that count as seen then: above `after`, up to `upTo`; none where the clock only jumped over it. */
  readonly after: bigint;
  readonly upTo: bigint;
  /** By how much the clock seems to have been wrong meanwhile: ahead, or negative, behind. */
  readonly wrongByMs: number;
  /** It may have been ahead by up to so much: how long nobody captured before it was put back isn't known. */
  readonly atMostMs: number;
  /**
   * `corrected`: it stepped, and then back by as much. `put-back`: it was put back, and had been ahead since a moment
   * that no step tells. `jumped`: it went ahead, and nothing tells whether it was wrong before or has been since.
   */
  readonly kind: 'corrected' | 'put-back' | 'jumped';
  /** The last step that tells it. */
  readonly step: ClockStep;
}

type Stored = Pick<TimelineContent, 'segments' | 'bases'>;

/**
 * The stretches of one timeline whose times are in doubt, oldest first, as its segments tell it, or the last one of each
 * chain, since that tells all steps. With `isWhole` false, for when only these were read, a stretch whose beginning is
 * to be looked for in all segments begins in 1970.
 */
export function doubtfulTimes(content: Stored, { isWhole = true } = {}): DoubtfulTimes[] {
  const segments = content.segments.filter((segment) => segment.state === 'sound');
  const told = segments.flatMap(({ clockSteps }) => (clockSteps === undefined ? [] : [clockSteps]));
  const steps = joinedSteps(...told, stepsAtEnds(segments, content.bases));
  const { corrected, alone } = pairsOf(steps);
  return [
    ...corrected.map(([first, last]) => betweenSteps(first, last, segments, isWhole)),
    ...alone.map((step) => {
      if (stepMs(step) > 0) return stretch(step.before, step.after, 'jumped', step, segments);
      return putBack(step, alone, segments, isWhole);
    }),
  ].sort((a, b) => a.since.getTime() - b.since.getTime());
}

/** Those that hold a time. */
export function doubtsAt(doubts: readonly DoubtfulTimes[], time: Date): DoubtfulTimes[] {
  return doubts.filter(({ since, until }) => since < time && time < until);
}

/** Nothing raises the times of a base, or of a new chain: one behind a chain's end may be before it by its time. */
function stepsAtEnds(segments: readonly SegmentOutline[], bases: Stored['bases']): ClockStep[] {
  const ends = new Map<string, SegmentOutline>();
  for (const segment of segments) ends.set(segment.chain, segment);
  return [...ends.values()].flatMap(({ to, times, sealedAtMs }) => {
    const next = bases.find((base) => revisionOf(base) > to)?.manifest.completedAt;
    // Times may stand still behind a step that is told, and a segment may have waited for the store.
    const before = new Date(Math.min(times.last.getTime(), sealedAtMs));
    if (next === undefined || before.getTime() - next.getTime() <= CLOCK_NOISE_MS) return [];
    return [{ revision: to, before, after: next }];
  });
}

interface Pairs {
  readonly corrected: (readonly [first: ClockStep, last: ClockStep])[];
  readonly alone: ClockStep[];
}

/** Which steps take back earlier ones, perhaps several at once. */
function pairsOf(steps: readonly ClockStep[]): Pairs {
  const corrected: [ClockStep, ClockStep][] = [];
  const alone: ClockStep[] = [];
  for (const step of steps) {
    let sum = stepMs(step);
    const index = alone.findLastIndex((earlier) => {
      sum += stepMs(earlier);
      return (
        stepMs(earlier) * stepMs(step) < 0 && Math.abs(sum) <= toleranceMs(earlier) && isOne(earlier, step)
      );
    });
    const first = alone[index];
    if (first === undefined) alone.push(step);
    else {
      corrected.push([first, step]);
      alone.length = index;
    }
  }
  return { corrected, alone };
}

/** Over a long time, the same few seconds forth and back may be by chance. */
function isOne(first: ClockStep, last: ClockStep): boolean {
  const lastedMs = last.before.getTime() - first.after.getTime();
  return Math.abs(stepMs(first)) >= LARGE_MS || lastedMs <= LONG_MS;
}

const LARGE_MS = 60_000;
const LONG_MS = 24 * 3_600_000;

/** A clock that was put right slowly in part, or that ran at its own speed meanwhile. */
function toleranceMs(step: ClockStep): number {
  return 2 * CLOCK_NOISE_MS + Math.abs(stepMs(step)) / 50;
}

function betweenSteps(
  first: ClockStep,
  last: ClockStep,
  segments: readonly SegmentOutline[],
  isWhole: boolean,
): DoubtfulTimes {
  const until = last.before > last.after ? last.before : last.after;
  const wrongByMs = stepMs(first);
  const atMostMs = Math.max(Math.abs(wrongByMs), Math.abs(stepMs(last)));
  const between = { ...stretch(first.before, until, 'corrected', last, segments), atMostMs };
  if (wrongByMs > 0) return { ...between, wrongByMs };
  // Behind a step back times stand still at the last one before it.
  const since = isWhole ? lastTimeBefore(segments, first) : new Date(0);
  return { ...between, since, wrongByMs, after: first.revision };
}

function lastTimeBefore(segments: readonly SegmentOutline[], { revision, before }: ClockStep): Date {
  const segment = segments.findLast(({ from }) => from < revision);
  const last = segment?.times.seenAt(revision) ?? before;
  // What was seen behind the step has the same time.
  return new Date(Math.min(last.getTime(), before.getTime()) - 1);
}

/** A small step, and the clock of another machine, are no reason to doubt all that was before. */
function putBack(
  step: ClockStep,
  alone: readonly ClockStep[],
  segments: readonly SegmentOutline[],
  isWhole: boolean,
): DoubtfulTimes {
  const byMs = -stepMs(step);
  const least = byMs - toleranceMs(step);
  let jump: Hole | undefined = alone.findLast((one) => one.revision <= step.revision && stepMs(one) >= least);
  if (jump === undefined && byMs >= LARGE_MS) {
    jump = isWhole ? holeBefore(segments, step, least) : { before: new Date(0), after: step.before };
  }
  const { before: since, after: reached } = jump ?? { before: step.after, after: step.before };
  const earlier = since < step.after ? since : step.after;
  const doubt = stretch(earlier, step.before, 'put-back', step, segments);
  return { ...doubt, wrongByMs: byMs, atMostMs: Math.max(byMs, reached.getTime() - since.getTime()) };
}

/** Times before and after nothing was seen, or the clock jumped. */
interface Hole {
  readonly before: Date;
  readonly after: Date;
}

/**
 * A clock that jumps ahead leaves a hole in the times that is at least as long: the last such hole before the step, or
 * what is before the first time of all. A process that watched its clock would have told of a jump.
 */
function holeBefore(segments: readonly SegmentOutline[], step: ClockStep, leastMs: number): Hole | undefined {
  let next: SegmentOutline | undefined;
  for (let at = segments.findLastIndex(({ from }) => from < step.revision); at >= 0; at--) {
    const segment = segments[at];
    if (segment === undefined) break;
    const { times, watchedBy } = segment;
    const [before, after] = [times.last, next?.times.first ?? times.last];
    const isSameRun = watchedBy !== undefined && watchedBy === next?.watchedBy;
    if (!isSameRun && after.getTime() - before.getTime() >= leastMs) return { before, after };
    const within = watchedBy === undefined ? times.holeOf(leastMs) : undefined;
    if (within !== undefined) return within;
    next = segment;
  }
  return next && { before: next.times.first, after: next.times.first };
}

function stretch(
  since: Date,
  until: Date,
  kind: DoubtfulTimes['kind'],
  step: ClockStep,
  segments: readonly SegmentOutline[],
): DoubtfulTimes {
  const [after, upTo] = [seenBy(segments, since), seenBy(segments, until)];
  const wrongByMs = stepMs(step);
  const atMostMs = Math.abs(wrongByMs);
  return { since, until, after, upTo: upTo > after ? upTo : after, wrongByMs, atMostMs, kind, step };
}

/** Up to where everything counts as seen at a time. */
function seenBy(segments: readonly SegmentOutline[], time: Date): bigint {
  const last = segments.findLast(({ times }) => times.first <= time);
  return last?.times.revisionAt(time) ?? segments[0]?.from ?? 0n;
}
