import { GuardianError } from '../lib/guardian-error.ts';
import { parseDuration } from './option-values.ts';

/**
 * The moment that a person means:
 *
 * - RFC 3339: `2026-11-22T14:05:00Z`, `2026-11-22 14:05+01:00`;
 * - the same without an offset, in this machine's time zone;
 * - `14:05` or `14:05:30`: the last time that clocks here showed that;
 * - `-15m`, `-1h30m`: so long ago.
 *
 * Throws `usage.time` for anything else, for a local time that clocks here showed twice or never (they were put back or
 * forward), and for what is still to come.
 */
export function parseMoment(text: string, now: Date, option: string): Date {
  const moment = relative(text, now, option) ?? dated(text, option) ?? timeOfDay(text, now, option);
  if (moment === undefined) throw wrong(`${option}: "${text}" is not a time`);
  if (moment > now) {
    throw wrong(`${option}: "${text}" is ${moment.toISOString()}, which is still to come`);
  }
  return moment;
}

function relative(text: string, now: Date, option: string): Date | undefined {
  return text.startsWith('-') ? new Date(now.getTime() - parseDuration(text.slice(1), option)) : undefined;
}

const DATED =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:([Zz])|([+-])(\d\d):(\d\d))?$/;

function dated(text: string, option: string): Date | undefined {
  const [
    whole,
    year,
    month,
    day,
    hour,
    minute,
    second = '0',
    fraction = '',
    utc,
    sign,
    offHours,
    offMinutes,
  ] = DATED.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const fields = [Number(year), Number(month), Number(day), Number(hour), Number(minute), Number(second)];
  const ms = Number(fraction.padEnd(3, '0').slice(0, 3));
  if (utc === undefined && sign === undefined) return new Date(local(fields, text, option).getTime() + ms);
  const shownMs = asUtc(fields);
  if (shownMs === undefined) return undefined;
  const offsetMs = (Number(offHours ?? 0) * 60 + Number(offMinutes ?? 0)) * 60_000;
  return new Date(shownMs + ms + (sign === '-' ? offsetMs : -offsetMs));
}

function timeOfDay(text: string, now: Date, option: string): Date | undefined {
  const [whole, hour, minute, second = '0'] = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec(text) ?? [];
  if (whole === undefined) return undefined;
  for (const daysAgo of [0, 1]) {
    const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysAgo);
    const date = [day.getFullYear(), day.getMonth() + 1, day.getDate()];
    const moment = local([...date, Number(hour), Number(minute), Number(second)], text, option);
    if (moment <= now) return moment;
  }
  return undefined;
}

/** The one moment at which clocks here showed these (year, month from 1, day, hour, minute, second). */
function local(fields: readonly number[], text: string, option: string): Date {
  const shown = asUtc(fields);
  if (shown === undefined) throw wrong(`${option}: "${text}" is not a time`);
  // Clocks are put back or forward by less than a day: one of both offsets is right.
  const offsets = [shown - DAY_MS, shown + DAY_MS].map((ms) => new Date(ms).getTimezoneOffset() * 60_000);
  const moments = [...new Set(offsets)]
    .map((offset) => new Date(shown + offset))
    .filter((moment) => asUtc(shownBy(moment)) === shown);
  const [moment, another] = moments;
  if (moment !== undefined && another === undefined) return moment;
  const times = moments.map((one) => one.toISOString()).join(' and ');
  throw wrong(
    moment === undefined
      ? `${option}: clocks here never showed "${text}": they were put forward`
      : `${option}: clocks here showed "${text}" twice, at ${times}: they were put back`,
  );
}

const DAY_MS = 86_400_000;

function shownBy(moment: Date): number[] {
  const date = [moment.getFullYear(), moment.getMonth() + 1, moment.getDate()];
  return [...date, moment.getHours(), moment.getMinutes(), moment.getSeconds()];
}

/** As if in UTC; undefined for what no clock shows, e.g. a 30th of February. */
function asUtc(fields: readonly number[]): number | undefined {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  const back = new Date(ms);
  const same =
    back.getUTCMonth() === month - 1 &&
    back.getUTCDate() === day &&
    back.getUTCHours() === hour &&
    back.getUTCMinutes() === minute &&
    back.getUTCSeconds() === second;
  return same ? ms : undefined;
}

function wrong(message: string): GuardianError {
  return new GuardianError('usage.time', message, {
    hint: 'write it like 2026-11-22T14:05:00Z, 2026-11-22T14:05+01:00, 14:05 (the last time it was that here) or -15m',
  });
}
