import { GuardianError } from '../guardian-error.ts';
import {
  type Hole,
  type PointInTime,
  type PointSpan,
  type RestorableRange,
  revisionAt,
  revisionOf,
  seenAt,
  spansOf,
  type TimelineContent,
} from './point-spans.ts';
import type { SoundBackup } from './backup-entry.ts';
import type { SegmentOutline } from './segment-outline.ts';
import { firstIndex } from './time-map.ts';

export type PointQuery =
  | { readonly kind: 'latest' }
  | { readonly kind: 'revision'; readonly revision: bigint }
  | { readonly kind: 'time'; readonly time: Date };

/** A restore point, and what makes it: the newest base at or below it, and the segments between, in order. */
export interface ChosenPoint extends PointInTime {
  readonly timeline: string;
  readonly base: SoundBackup;
  readonly segments: readonly SegmentOutline[];
}

/** A restore point by name. */
export interface NamedPoint extends PointInTime {
  readonly timeline: string;
}

/**
 * Nothing restores what was asked for. Codes: `point.gap`, `point.break`, `point.trimmed`, `point.no-base` (see
 * `Hole`), `point.before-first`, `point.compacted` (etcd had dropped it before the first base), `point.not-captured`
 * (the future, or not yet in the store), `point.none` (nothing of the timeline can be restored), `point.doubtful-time`
 * (a clock had stepped; `before` and `after` are the oldest and the newest state that it may have been).
 */
export class PointUnavailableError extends GuardianError {
  /** The nearest restore points on both sides, where there are any. */
  readonly before: NamedPoint | undefined;
  readonly after: NamedPoint | undefined;

  constructor(code: string, message: string, before?: NamedPoint, after?: NamedPoint, advice?: string) {
    const nearest = [
      before === undefined ? [] : [`the last one before it is ${textOf(before)}`],
      after === undefined ? [] : [`the first one after it is ${textOf(after)}`],
    ].flat();
    const hint =
      nearest.length === 0
        ? 'Nothing of it can be restored.'
        : `Of what can be restored, ${nearest.join('; ')}.`;
    super(code, message, { hint: advice === undefined ? hint : `${hint} ${advice}` });
    this.name = 'PointUnavailableError';
    this.before = before;
    this.after = after;
  }
}

/** The point that a query means on one timeline. Throws a `PointUnavailableError`. */
export function choosePoint(content: TimelineContent, query: PointQuery): ChosenPoint {
  const spans = spansOf(content);
  const last = spans.findLast((span) => span.kind === 'range');
  if (last === undefined) throw nothingToRestore(content.timeline);
  switch (query.kind) {
    case 'latest':
      return pointIn(content.timeline, last, last.to.revision);
    case 'revision':
      return atRevision(content, spans, query.revision);
    case 'time':
      return atTime(content, spans, query.time);
  }
}

export function nothingToRestore(timeline: string): PointUnavailableError {
  return new PointUnavailableError('point.none', `timeline ${timeline} has no base that can be used`);
}

function atRevision(content: TimelineContent, spans: readonly PointSpan[], revision: bigint): ChosenPoint {
  const { timeline } = content;
  const index = spans.findIndex((span) => revision <= lastOf(span));
  const span = spans[index];
  const sides = sidesOf(timeline, spans, span === undefined ? spans.length : index);
  const what = `revision ${revision} of timeline ${timeline}`;
  if (span === undefined) throw notCaptured(what, sides);
  if (span.kind === 'range' && revision >= span.from.revision) return pointIn(timeline, span, revision);
  if (span.kind === 'hole' && revision >= span.first) throw inHole(what, span, sides);
  throw beforeFirst(what, content, sides.after, revision);
}

function atTime(content: TimelineContent, spans: readonly PointSpan[], time: Date): ChosenPoint {
  const { timeline } = content;
  const index = spans.findLastIndex((span) => span.kind === 'range' && span.from.seenAt <= time);
  const span = spans[index];
  const what = `the state at ${time.toISOString()} (timeline ${timeline})`;
  if (span?.kind !== 'range') throw beforeFirst(what, content, sidesOf(timeline, spans, 0).after, undefined);
  if (time <= span.to.seenAt) return pointIn(timeline, span, revisionAt(span, time));
  const hole = spans[index + 1];
  const sides = sidesOf(timeline, spans, index + 1);
  throw hole?.kind === 'hole' && (sides.after !== undefined || hole.cause === 'break')
    ? inHole(what, hole, sides)
    : notCaptured(what, sides);
}

function pointIn(timeline: string, range: RestorableRange, revision: bigint): ChosenPoint {
  const base = range.bases.findLast((one) => revisionOf(one) <= revision);
  if (base === undefined) throw nothingToRestore(timeline);
  const segments = segmentsBetween(range, revisionOf(base), revision);
  return { timeline, revision, seenAt: seenAt(range, revision), base, segments };
}

function segmentsBetween({ segments }: RestorableRange, above: bigint, revision: bigint): SegmentOutline[] {
  const needed: SegmentOutline[] = [];
  let end = above;
  for (
    let index = firstIndex(segments.length, (at) => (segments[at]?.to ?? 0n) > above);
    end < revision;
    index++
  ) {
    const segment = segments[index];
    if (segment === undefined) break;
    needed.push(segment);
    end = segment.to;
  }
  return needed;
}

function lastOf(span: PointSpan): bigint {
  return span.kind === 'range' ? span.to.revision : span.last;
}

interface Sides {
  readonly before: NamedPoint | undefined;
  readonly after: NamedPoint | undefined;
}

/** The restore points next to a place between spans. */
function sidesOf(timeline: string, spans: readonly PointSpan[], index: number): Sides {
  const before = spans.slice(0, index).findLast((span) => span.kind === 'range')?.to;
  const after = spans.slice(index).find((span) => span.kind === 'range')?.from;
  return { before: before && { timeline, ...before }, after: after && { timeline, ...after } };
}

function inHole(what: string, { cause, first, last, reason }: Hole, { before, after }: Sides): Error {
  const which = first === last ? `revision ${first}` : `revisions ${first} to ${last}`;
  const why = {
    gap: `${which} are a gap: ${reason}`,
    break: `it lies behind a break (${which}): ${reason}`,
    trimmed: `of ${which}, ${reason}`,
    'no-base': `of ${which}, ${reason}`,
  };
  return new PointUnavailableError(
    `point.${cause}`,
    `${what} can't be restored: ${why[cause]}`,
    before,
    after,
  );
}

function notCaptured(what: string, { before }: Sides): Error {
  return new PointUnavailableError(
    'point.not-captured',
    `${what} can't be restored: the store holds nothing as new as that`,
    before,
  );
}

function beforeFirst(
  what: string,
  { bases }: TimelineContent,
  after: NamedPoint | undefined,
  revision: bigint | undefined,
): Error {
  const compacted = bases[0]?.manifest.snapshot.compactRevision ?? -1n;
  return revision !== undefined && revision <= compacted
    ? new PointUnavailableError(
        'point.compacted',
        `${what} can't be restored: etcd had compacted up to revision ${compacted} before the first base`,
        undefined,
        after,
      )
    : new PointUnavailableError(
        'point.before-first',
        `${what} can't be restored: it is before the first base`,
        undefined,
        after,
      );
}

function textOf({ revision, seenAt: at, timeline }: NamedPoint): string {
  return `revision ${revision} (${at.toISOString()}) of timeline ${timeline}`;
}
