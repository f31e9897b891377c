import type { DoubtfulTimes } from '../lib/repository/doubtful-times.ts';
import { count, duration } from './output.ts';
import { instant } from './point-spans-text.ts';

/** As the commands print it in JSON. */
export function doubtValue(doubt: DoubtfulTimes): Readonly<Record<string, unknown>> {
  const { since, until, after, upTo, kind, wrongByMs } = doubt;
  return { since, until, after, upTo, kind, wrongBySeconds: wrongByMs / 1000 };
}

/** A line for each stretch that can't be restored by time, below what can be restored. `doubtful`: newest first. */
export function doubtsText(doubtful: readonly DoubtfulTimes[], limit: number): string {
  const shown = doubtful.slice(0, limit).map((doubt) => `??? ${doubtText(doubt)}\n`);
  const older = doubtful.length - shown.length;
  return shown.join('') + (older > 0 ? `    … and ${count(older)} more times in doubt (--limit)\n` : '');
}

export function doubtText(doubt: DoubtfulTimes): string {
  const { since, until, after, upTo } = doubt;
  const revisions = upTo > after ? `, revisions ${count(after + 1n)} to ${count(upTo)}` : '';
  return `times from ${instant(since)} to ${instant(until)} are IN DOUBT${revisions}: ${why(doubt)}; restore by revision there`;
}

function why({ kind, wrongByMs }: DoubtfulTimes): string {
  const by = duration(Math.abs(wrongByMs));
  switch (kind) {
    case 'corrected':
      return `the clock was ${wrongByMs > 0 ? 'ahead' : 'behind'} by ${by} until it was put right`;
    case 'put-back':
      return `the clock was put back by ${by}`;
    case 'jumped':
      return `the clock jumped ahead by ${by}`;
  }
}
