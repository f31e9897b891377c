import {
  type BrokenOutline,
  type ListedOutline,
  SegmentCover,
  type SegmentOutline,
} from './segment-outline.ts';
import { firstIndex } from './time-map.ts';
import type { SoundBackup } from './backup-entry.ts';
import type { TrimmedSegments } from './trimmed-segments.ts';

/** What stands in the store of one timeline, as far as it was read. */
export interface TimelineContent {
  readonly cluster: string;
  readonly timeline: string;
  /** Those that can be restored from, ascending by revision. */
  readonly bases: readonly SoundBackup[];
  /** Of all chains, ascending by `from`; without what was trimmed. */
  readonly segments: readonly ListedOutline[];
  /** Of all chains. */
  readonly trimmed: readonly TrimmedSegments[];
}

export interface PointInTime {
  readonly revision: bigint;
  /** When everything up to it had been seen: by the segments' times; of a base that no segment covers, its completion. */
  readonly seenAt: Date;
}

export type PointSpan = RestorableRange | Hole;

/** Every revision from `from` to `to`, both included, can be restored. */
export interface RestorableRange {
  readonly kind: 'range';
  readonly from: PointInTime;
  readonly to: PointInTime;
  /** Ascending by revision; the first one is of `from`. */
  readonly bases: readonly SoundBackup[];
  /** Those that are needed, one behind the other. */
  readonly segments: readonly SegmentOutline[];
  /** Of the segments, as stored. */
  readonly segmentBytes: number;
}

/** Revisions that can't be restored. */
export interface Hole {
  readonly kind: 'hole';
  /**
   * `gap`: nobody captured them. `break`: a segment is missing, damaged or forged, and no later base is before them.
   * `trimmed`: segments were removed, by retention or by hand. `no-base`: segments are there, but no base before them.
   */
  readonly cause: 'gap' | 'break' | 'trimmed' | 'no-base';
  /** Inclusive, both. */
  readonly first: bigint;
  readonly last: bigint;
  /** For people. */
  readonly reason: string;
  /** With cause `break`, unless all that is known is that something stood there. */
  readonly broken: BrokenOutline | undefined;
}

/** What can be restored of a timeline and what can't, oldest first. */
export function spansOf(content: TimelineContent): PointSpan[] {
  const cover = new SegmentCover(content.segments);
  const spans: PointSpan[] = [];
  let open: { readonly bases: SoundBackup[]; readonly segments: SegmentOutline[]; end: bigint } | undefined;
  for (const base of content.bases) {
    const revision = revisionOf(base);
    if (open === undefined || revision > open.end + 1n) {
      if (open !== undefined) spans.push(rangeOf(open.bases, open.segments));
      spans.push(...holeBefore(content, open?.end, revision));
      open = { bases: [], segments: [], end: -1n };
    }
    open.bases.push(base);
    if (revision <= open.end) continue;
    open.segments.push(...cover.above(revision));
    open.end = endOf(revision, open.segments);
  }
  if (open !== undefined) spans.push(rangeOf(open.bases, open.segments));
  return [...spans, ...holeBehind(content, open?.end)];
}

/** A base's revision: what etcd starts at with it. */
export function revisionOf({ manifest }: Pick<SoundBackup, 'manifest'>): bigint {
  return manifest.snapshot.currentRevision;
}

/** When a revision of the range was seen. */
export function seenAt(
  { segments, bases }: Pick<RestorableRange, 'segments' | 'bases'>,
  revision: bigint,
): Date {
  const index = firstIndex(segments.length, (at) => (segments[at]?.to ?? 0n) >= revision);
  const segment = segments[index];
  if (segment !== undefined && segment.from < revision) return segment.times.seenAt(revision);
  const completed = bases.find((base) => revisionOf(base) === revision)?.manifest.completedAt;
  // The base of a chain is complete only when the first segments behind it have long been seen.
  const next = segment?.times.first;
  return new Date(
    Math.min(...[completed, next].flatMap((time) => (time === undefined ? [] : [time.getTime()]))),
  );
}

/** Up to where everything had been seen at `time`, which lies between the range's first and last. */
export function revisionAt(range: RestorableRange, time: Date): bigint {
  const { segments, bases } = range;
  const behind = firstIndex(segments.length, (at) => (segments[at]?.times.first ?? time) > time);
  const bySegments = segments[behind - 1]?.times.revisionAt(time) ?? range.from.revision;
  const byBases = bases.map(revisionOf).filter((revision) => seenAt(range, revision) <= time);
  return [bySegments, ...byBases].reduce((highest, revision) => (revision > highest ? revision : highest));
}

function rangeOf(bases: readonly SoundBackup[], segments: readonly SegmentOutline[]): RestorableRange {
  const ends = [bases[0], bases.at(-1)].map((base) => (base === undefined ? 0n : revisionOf(base)));
  const [first = 0n, last = 0n] = ends;
  const point = (revision: bigint): PointInTime => ({
    revision,
    seenAt: seenAt({ bases, segments }, revision),
  });
  const segmentBytes = segments.reduce((sum, { size }) => sum + size, 0);
  return {
    kind: 'range',
    from: point(first),
    to: point(endOf(last, segments)),
    bases,
    segments,
    segmentBytes,
  };
}

function endOf(revision: bigint, segments: readonly SegmentOutline[]): bigint {
  const to = segments.at(-1)?.to ?? revision;
  return to > revision ? to : revision;
}

/** Between the end of a range and the next base; before the first base only where segments once had a base. */
function holeBefore(content: TimelineContent, end: bigint | undefined, base: bigint): Hole[] {
  if (end !== undefined) return [holeAt(content, end, base - 1n)];
  const first = content.segments.find((segment) => segment.state === 'sound' && segment.to <= base);
  return first === undefined ? [] : [withoutBase(first.from + 1n, base - 1n)];
}

/** Behind the last range, where something stands that no base reaches. */
function holeBehind(content: TimelineContent, end: bigint | undefined): Hole[] {
  const [first] = content.segments;
  const last = content.segments.reduce((highest, segment) => {
    const reach = segment.state === 'sound' ? segment.to : segment.from + 1n;
    return reach > highest ? reach : highest;
  }, 0n);
  if (end === undefined) return first === undefined ? [] : [withoutBase(first.from + 1n, last)];
  return last > end ? [holeAt(content, end, last)] : [];
}

function holeAt({ segments, trimmed }: TimelineContent, end: bigint, last: bigint): Hole {
  const hole = { kind: 'hole', first: end + 1n, last } as const;
  const behind = firstIndex(segments.length, (at) => (segments[at]?.from ?? 0n) > end);
  const broken = segments[behind - 1];
  if (broken?.state === 'broken' && !isBridged(segments, broken)) {
    return { ...hole, cause: 'break', broken, reason: broken.problem.message };
  }
  const trim = trimmed.find(({ from, to }) => from <= end && end < to);
  if (trim !== undefined) {
    const reason = `their segments were removed by ${trim.by} at ${trim.at.toISOString()}`;
    return { ...hole, cause: 'trimmed', broken: undefined, reason };
  }
  const next = segments[behind];
  const gap = next?.state === 'sound' && next.from <= last + 1n ? next.gap : undefined;
  if (gap !== undefined && gap.after > end) {
    const reason = `they were captured up to revision ${gap.after}, but their segments are gone`;
    return { ...hole, cause: 'break', broken: undefined, reason };
  }
  return { ...hole, cause: 'gap', broken: undefined, reason: gap?.reason ?? 'nobody captured them' };
}

/** Whether sound segments hold what follows a broken one: then it is only something that was put between them. */
function isBridged(segments: readonly ListedOutline[], { from }: BrokenOutline): boolean {
  return segments.some((one) => one.state === 'sound' && one.from <= from && from < one.to);
}

function withoutBase(first: bigint, last: bigint): Hole {
  const reason = 'segments are there, but no base before them that can be used';
  return { kind: 'hole', cause: 'no-base', first, last, broken: undefined, reason };
}
