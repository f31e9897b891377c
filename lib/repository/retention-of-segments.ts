import type { KeptPoints } from './kept-points.ts';
import { spansOf, type TimelineContent } from './point-spans.ts';
import type { RetentionPolicy, SegmentsDecision } from './retention-policy.ts';
import { followsOf, type ListedOutline, type SegmentOutline } from './segment-outline.ts';

/** The fate of every segment, in stretches; newest first. `timelines`: newest first. */
export function decideSegments(
  timelines: readonly TimelineContent[],
  kept: KeptPoints,
  policy: RetentionPolicy,
): SegmentsDecision[] {
  return timelines.flatMap((content, index) => {
    const fates = fatesOf(content, index === 0, kept, policy);
    return [...chainsOf(content)]
      .flatMap(([chain, segments]) => stretchesOf(content, chain, segments, fates))
      .sort((a, b) => (a.from > b.from ? -1 : 1));
  });
}

/** Why a segment stays; undefined: nothing needs it. */
type Fates = (segment: ListedOutline) => string | undefined;

function fatesOf(
  content: TimelineContent,
  isNewest: boolean,
  kept: KeptPoints,
  { labels }: RetentionPolicy,
): Fates {
  const spans = spansOf(content);
  const ranges = spans.filter((span) => span.kind === 'range');
  const end = ranges.at(-1)?.to.revision;
  const tail = isNewest ? tailOf(content) : undefined;
  const { timeline } = content;
  return (segment) => {
    if (segment.state === 'broken')
      return `not touched, because it can't be read: ${segment.problem.message}`;
    if (kept.segments.has(segment.name)) return 'kept restore points need them';
    if (labels !== undefined) return 'segments serve the backups of all schedules';
    if (segment === tail) return 'capture goes on from there';
    if (isNewest && (end === undefined || segment.from >= end)) return 'newer than every restore point';
    // Something may be missing that a person has a copy of.
    const isOutOfReach = !ranges.some(
      ({ from, to }) => from.revision < segment.to && segment.to <= to.revision,
    );
    const place = { timeline, revision: segment.to, seenAt: segment.times.last };
    return isOutOfReach && kept.isWithin(place)
      ? 'out of reach of every base, but as young as what is kept'
      : undefined;
  };
}

/** The segment that reaches furthest. */
function tailOf({ segments }: TimelineContent): ListedOutline | undefined {
  return segments
    .filter((segment) => segment.state === 'sound')
    .reduce<SegmentOutline | undefined>(
      (last, one) => (last === undefined || one.to >= last.to ? one : last),
      undefined,
    );
}

/** By where they begin. */
function chainsOf({ segments }: TimelineContent): Map<string, ListedOutline[]> {
  const chains = new Map<string, ListedOutline[]>();
  for (const segment of segments) {
    const chain = chains.get(segment.chain);
    if (chain === undefined) chains.set(segment.chain, [segment]);
    else chain.push(segment);
  }
  return chains;
}

function stretchesOf(
  { cluster, timeline }: TimelineContent,
  id: string,
  segments: readonly ListedOutline[],
  fates: Fates,
): SegmentsDecision[] {
  const stretches: SegmentsDecision[] = [];
  for (const segment of segments) {
    const why = fates(segment);
    const action = why === undefined ? 'trim' : 'keep';
    const reason = why ?? 'no kept restore point needs them';
    const [from, to, bytes] =
      segment.state === 'sound'
        ? [followsOf(segment), segment.to, segment.size]
        : [segment.from, segment.from + 1n, 0];
    const last = stretches.at(-1);
    if (last?.action === action && last.reason === reason) {
      stretches[stretches.length - 1] = {
        ...last,
        to,
        segments: last.segments + 1,
        bytes: last.bytes + bytes,
      };
    } else {
      const chain = { cluster, timeline, id };
      stretches.push({ action, chain, from, to, segments: 1, bytes, reason });
    }
  }
  return stretches;
}
