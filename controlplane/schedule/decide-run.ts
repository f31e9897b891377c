import type { Slots } from './slots.ts';

/** What is known of a schedule when it is decided on. */
export interface ScheduleState {
  readonly slots: Slots;
  readonly suspended: boolean;
  readonly concurrency: 'Allow' | 'Forbid' | 'Replace';
  /** How late a run may begin; undefined: as late as it must. */
  readonly deadlineMs: number | undefined;
  /** No slot up to here is still to be run: creation, the last run, the end of a suspension. */
  readonly since: Date;
  /** Names of runs that go on. */
  readonly active: readonly string[];
}

export type Decision =
  /** Nothing is due. */
  | { readonly kind: 'wait'; readonly next: Date | undefined }
  | { readonly kind: 'suspended' }
  /** `missed`: slots before this one that nobody could run, and that are not made up for. */
  | {
      readonly kind: 'run';
      readonly slot: Date;
      readonly replace: readonly string[];
      readonly missed: number;
      readonly next: Date | undefined;
    }
  /** The slot is left out, since another run goes on, or since it is too late for it. */
  | {
      readonly kind: 'skip';
      readonly slot: Date;
      readonly why: 'running' | 'too-late';
      readonly next: Date | undefined;
    };

/** More missed slots than this are no more told one by one. */
const MOST_COUNTED = 1_000;

/** Which run is due now, if any. Of slots that were missed only the last one counts. */
export function decideRun(state: ScheduleState, now: Date): Decision {
  const { slots, suspended, concurrency, deadlineMs, since, active } = state;
  if (suspended) return { kind: 'suspended' };
  const next = slots.after(now);
  const slot = slots.upTo(now);
  if (slot === undefined || slot <= since) return { kind: 'wait', next };
  if (deadlineMs !== undefined && now.getTime() - slot.getTime() > deadlineMs)
    return { kind: 'skip', slot, why: 'too-late', next };
  if (concurrency === 'Forbid' && active.length > 0) return { kind: 'skip', slot, why: 'running', next };
  const missed = Math.max(0, slots.count(since, slot, MOST_COUNTED) - 1);
  return { kind: 'run', slot, replace: concurrency === 'Replace' ? active : [], missed, next };
}
