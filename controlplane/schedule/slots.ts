import { Cron } from 'croner';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';

/** The moments at which a schedule's runs are due. */
export interface Slots {
  /** The first one after `time`; undefined: there is none any more. */
  after(time: Date): Date | undefined;
  /** The last one up to and with `time`; undefined: there was none. */
  upTo(time: Date): Date | undefined;
  /** How many there are after `from`, up to and with `to`; counts to `most` at most. */
  count(from: Date, to: Date, most: number): number;
}

/**
 * Five cron fields or a word like `@daily`, in a time zone (UTC unless given). Where clocks go forward, a run at a time
 * that doesn't exist is due when that hour ends; where they go back, a run at a fixed time is due once, at the first.
 * Throws `controlplane.schedule`.
 */
export function slotsOf(schedule: string, timeZone = 'UTC'): Slots {
  const cron = parsed(schedule, timeZone);
  const after = (time: Date): Date | undefined => cron.nextRun(time) ?? undefined;
  return {
    after,
    upTo(time) {
      // Slots are whole seconds, and the reference itself is left out.
      const [slot] = cron.previousRuns(1, new Date(time.getTime() + 1));
      return slot;
    },
    count(from, to, most) {
      let count = 0;
      for (let slot = after(from); slot !== undefined && slot <= to && count < most; slot = after(slot))
        count += 1;
      return count;
    },
  };
}

function parsed(schedule: string, timeZone: string): Cron {
  try {
    const cron = new Cron(schedule, { timezone: timeZone, mode: '5-part', paused: true });
    // Time zones are looked at when they are first used.
    cron.nextRun(new Date(0));
    return cron;
  } catch (error) {
    throw new GuardianError(
      'controlplane.schedule',
      `schedule ${JSON.stringify(schedule)} in time zone ${JSON.stringify(timeZone)} makes no sense: ${reasonOf(error)}`,
      {
        hint: 'Write five fields (minute hour day month weekday), like "0 2 * * *", and a zone like Europe/Berlin.',
      },
    );
  }
}
