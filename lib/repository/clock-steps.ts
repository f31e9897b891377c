import type { SegmentHead } from './segment-head.ts';

/** Less is what clocks do that are slowly put right, and pauses of a process. */
export const CLOCK_NOISE_MS = 1_000;

/** As many as a head holds. */
export const MAX_CLOCK_STEPS = 64;

/**
 * A writer's clock went another way than time did: at one moment, behind what was seen up to `revision`, it would have
 * said `before`, and said `after`.
 */
export type ClockStep = NonNullable<SegmentHead['clockSteps']>[number];

/** By how much the clock went ahead, in milliseconds; negative when it went back. */
export function stepMs({ before, after }: ClockStep): number {
  return after.getTime() - before.getTime();
}

/**
 * All of them, each once, by revision. Where that would be more than a head holds, the oldest two become one, so that
 * what is known only gets coarser.
 */
export function joinedSteps(...lists: readonly (readonly ClockStep[])[]): ClockStep[] {
  const each = new Map(lists.flat().map((step) => [keyOf(step), step]));
  const steps = [...each.values()].sort(byRevision);
  while (steps.length > MAX_CLOCK_STEPS) {
    const [first, second] = steps;
    if (first !== undefined && second !== undefined) steps.splice(0, 2, { ...first, after: second.after });
  }
  return steps;
}

/** Steps at one revision stay in their order: `sort` is stable. */
function byRevision(a: ClockStep, b: ClockStep): number {
  return a.revision === b.revision ? 0 : a.revision < b.revision ? -1 : 1;
}

function keyOf({ revision, before, after }: ClockStep): string {
  return `${revision} ${before.getTime()} ${after.getTime()}`;
}
