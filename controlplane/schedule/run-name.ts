import type { Slots } from './slots.ts';

/**
 * The name of the run of one slot: `NAME-YYYYMMDD`, the date in the schedule's time zone; where that date has several
 * slots `NAME-YYYYMMDD-HHMMSS`, in UTC, since clocks that go back repeat local times. The same slot always has the same
 * name, which is what keeps it from being run twice.
 */
export function runName(name: string, slot: Date, slots: Slots, timeZone = 'UTC'): string {
  const date = localDate(slot, timeZone);
  const before = slots.upTo(new Date(slot.getTime() - 1));
  const next = slots.after(slot);
  const isOnly = [before, next].every((other) => other === undefined || localDate(other, timeZone) !== date);
  if (isOnly) return `${name}-${date}`;
  const [day = '', time = ''] = slot.toISOString().split(/[T.]/);
  return `${name}-${day.replaceAll('-', '')}-${time.replaceAll(':', '')}`;
}

function localDate(time: Date, timeZone: string): string {
  // Sweden writes dates as ISO 8601 does.
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(time).replaceAll('-', '');
}
