import type { Hole, PointSpan, RestorableRange } from '../lib/repository/point-spans.ts';
import { age, bytes, count, counted, duration, table } from './output.ts';

/** A span as the commands print it in JSON. */
export function spanValue(span: PointSpan): Readonly<Record<string, unknown>> {
  if (span.kind === 'hole') {
    const { cause, first, last, reason, broken } = span;
    return { kind: cause, first, last, reason, segment: broken?.name ?? null };
  }
  const { from, to, bases, segments, segmentBytes } = span;
  return {
    kind: 'restorable',
    ...{ first: from.revision, last: to.revision, firstSeenAt: from.seenAt, lastSeenAt: to.seenAt },
    ...{ bases: bases.map(({ id }) => id), segments: segments.length, segmentBytes },
  };
}

/**
 * What can be restored of a timeline, and between it in capitals what can't. `spans`: newest first, as
 * `RestorePoints.list` gives them; beyond `limit` they are counted only.
 */
export function spansText(spans: readonly PointSpan[], limit: number, now: Date): string {
  const shown = spans.slice(0, limit);
  const rows = shown.map((span, at) =>
    span.kind === 'range' ? rangeRow(span) : holeRow(span, spans[at + 1], spans[at - 1]),
  );
  const older = spans.length - shown.length;
  return (
    newestText(spans, now) +
    table(['', 'REVISIONS', 'FROM', 'TO', 'LASTS', 'BASES', 'SEGMENTS', ''], rows) +
    (older > 0 ? `   … and ${counted(older, 'older line')} (--limit)\n` : '')
  );
}

function newestText(spans: readonly PointSpan[], now: Date): string {
  const last = spans.find((span) => span.kind === 'range');
  if (last === undefined) return 'NOTHING can be restored\n';
  const { revision, seenAt } = last.to;
  const holes = spans.filter(({ kind }) => kind === 'hole').length;
  const whole = holes === 0 ? 'no gaps' : `${count(holes)} ${holes === 1 ? 'GAP' : 'GAPS'}`;
  return `newest: revision ${count(revision)} of ${instant(seenAt)} (${age(seenAt, now)} ago); ${whole}\n`;
}

function rangeRow({ from, to, bases, segments, segmentBytes }: RestorableRange): string[] {
  const many = to.revision > from.revision;
  return [
    ' ok',
    many ? `${count(from.revision)} to ${count(to.revision)}` : count(from.revision),
    instant(from.seenAt),
    many ? instant(to.seenAt) : '',
    many ? duration(to.seenAt.getTime() - from.seenAt.getTime()) : '',
    String(bases.length),
    segments.length === 0 ? '' : `${count(segments.length)} (${bytes(segmentBytes)})`,
    many ? '' : 'this revision only',
  ];
}

function holeRow(
  { first, last, reason, cause }: Hole,
  before: PointSpan | undefined,
  after: PointSpan | undefined,
): string[] {
  const from = before?.kind === 'range' ? before.to.seenAt : undefined;
  const to = after?.kind === 'range' ? after.from.seenAt : undefined;
  const lasts = from === undefined || to === undefined ? '' : duration(to.getTime() - from.getTime());
  return [
    '>>>',
    first === last ? count(first) : `${count(first)} to ${count(last)}`,
    from === undefined ? '' : instant(from),
    to === undefined ? '' : instant(to),
    lasts,
    WORDS[cause],
    '',
    reason,
  ];
}

const WORDS = { gap: 'GAP', break: 'BROKEN', trimmed: 'REMOVED', 'no-base': 'NO BASE' } as const;

/** To the second: a list of hours needs no more. */
export function instant(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
