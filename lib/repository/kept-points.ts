import type { SoundBackup } from './backup-entry.ts';
import {
  type RestorableRange,
  revisionAt,
  revisionOf,
  seenAt,
  spansOf,
  type TimelineContent,
} from './point-spans.ts';
import type { KeptPoint, RetentionPolicy } from './retention-policy.ts';
import { SegmentCover } from './segment-outline.ts';

/** Which restore points a policy keeps, and what these need. */
export interface KeptPoints {
  /** Those that were chosen one by one, newest first. */
  readonly points: readonly KeptPoint[];
  /** Names of the segments that kept points need. */
  readonly segments: ReadonlySet<string>;
  /** Why a good backup stays; undefined: nothing keeps it. */
  reasonFor(backup: SoundBackup): string | undefined;
  /** Whether it is as young as what is kept: younger than the oldest chosen point, or of a time that is kept whole. */
  isWithin(place: Place): boolean;
}

interface Place {
  readonly timeline: string;
  readonly revision: bigint;
  readonly seenAt: Date;
}

/** `good`: the backups that the policy is about, newest first. `timelines`: newest first. */
export function keptPoints(
  good: readonly SoundBackup[],
  timelines: readonly TimelineContent[],
  policy: RetentionPolicy,
  now: Date,
): KeptPoints {
  const keeping = new Keeping(timelines);
  const windows = windowsOf(good, policy, now);
  // By number, not by revision: backups of a cluster where nothing happens have the same one.
  const counted = good.slice(0, policy.maxBackups);
  for (const window of windows) keeping.everythingIn(window, counted);
  const limits = limitsOf(good, policy, now);
  const candidates = keeping.candidates(counted, policy).filter((place) => isIn(limits, place));
  for (const [place, reason] of chosenByRules(candidates, policy)) keeping.point(place, reason);
  keeping.newest(good[0]);
  // Segments that stay whatever the policy: so must what makes them of use.
  if (policy.labels !== undefined) keeping.segmentsIn({ reason: '' });
  const result = keeping.result();
  const oldest = Math.min(...result.points.map(({ seenAt: at }) => at.getTime()));
  const isWithin = (place: Place): boolean =>
    place.seenAt.getTime() >= oldest || windows.some((window) => isIn(window, place));
  return { ...result, isWithin };
}

export function hasKeepRules(policy: RetentionPolicy): boolean {
  const { keepWithinMs, keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly } = policy;
  const rules = [keepWithinMs, keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly];
  return rules.some((rule) => rule !== undefined);
}

export function hoursText(ms: number): string {
  return `${Math.round(ms / 360_000) / 10} h`;
}

/** Points that are kept all together. */
interface Window {
  readonly since?: Date | undefined;
  /** None older than this backup. */
  readonly oldest?: SoundBackup | undefined;
  readonly reason: string;
}

function isIn({ since, oldest }: Window, { timeline, revision, seenAt: at }: Place): boolean {
  if (since !== undefined && at < since) return false;
  if (oldest === undefined || timeline > oldest.timeline) return true;
  return timeline === oldest.timeline && revision >= revisionOf(oldest);
}

/** What the limits leave. */
function limitsOf(
  good: readonly SoundBackup[],
  { maxBackups, maxAgeMs }: RetentionPolicy,
  now: Date,
): Window {
  const since = maxBackups === 0 ? LATER_THAN_ALL : maxAgeMs === undefined ? undefined : ago(now, maxAgeMs);
  const oldest = maxBackups === undefined ? undefined : good[maxBackups - 1];
  return { since, oldest, reason: 'within the policy' };
}

const LATER_THAN_ALL = new Date(8_640_000_000_000_000);

function windowsOf(good: readonly SoundBackup[], policy: RetentionPolicy, now: Date): Window[] {
  const limits = limitsOf(good, policy, now);
  if (!hasKeepRules(policy)) return [limits];
  const { keepWithinMs } = policy;
  if (keepWithinMs === undefined) return [];
  const since = ago(now, keepWithinMs);
  const later = limits.since !== undefined && limits.since > since ? limits.since : since;
  return [{ since: later, oldest: limits.oldest, reason: `within ${hoursText(keepWithinMs)}` }];
}

function ago(now: Date, ms: number): Date {
  return new Date(now.getTime() - ms);
}

/** A point that a rule may choose. */
interface Candidate extends Place {
  /** Undefined: the end of a segment in `range`. */
  readonly base: SoundBackup | undefined;
  readonly range: RestorableRange | undefined;
}

/** `candidates`: newest first. */
function* chosenByRules(
  candidates: readonly Candidate[],
  policy: RetentionPolicy,
): Generator<[Candidate, string], void> {
  const bases = candidates.filter(({ base }) => base !== undefined).slice(0, policy.keepLast ?? 0);
  for (const [index, place] of bases.entries())
    yield [place, index === 0 ? 'the newest base' : `base ${index + 1} of the newest`];
  for (const { count, bucketOf } of bucketRules(policy)) {
    const buckets = new Map<string, Candidate>();
    for (const place of candidates) {
      const bucket = bucketOf(place.seenAt);
      const chosen = buckets.get(bucket);
      if (chosen === undefined || (chosen.base === undefined && place.base !== undefined))
        buckets.set(bucket, place);
    }
    const newest = [...buckets].sort(([a], [b]) => (a < b ? 1 : -1)).slice(0, count);
    for (const [bucket, place] of newest) yield [place, bucket];
  }
}

interface BucketRule {
  readonly count: number;
  /** Sorts by time. */
  readonly bucketOf: (time: Date) => string;
}

function bucketRules({
  keepHourly = 0,
  keepDaily = 0,
  keepWeekly = 0,
  keepMonthly = 0,
}: RetentionPolicy): BucketRule[] {
  const rules = [
    { count: keepHourly, bucketOf: (time: Date) => `hour ${time.toISOString().slice(0, 13)}` },
    { count: keepDaily, bucketOf: (time: Date) => `day ${time.toISOString().slice(0, 10)}` },
    { count: keepWeekly, bucketOf: (time: Date) => `week from ${monday(time).toISOString().slice(0, 10)}` },
    { count: keepMonthly, bucketOf: (time: Date) => `month ${time.toISOString().slice(0, 7)}` },
  ];
  return rules.filter(({ count }) => count > 0);
}

function monday(time: Date): Date {
  const day = Math.floor(time.getTime() / DAY_MS);
  // 1970 began on a Thursday.
  return new Date((day - ((day + 3) % 7)) * DAY_MS);
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Collects what is kept. */
class Keeping {
  readonly #contents: ReadonlyMap<string, TimelineContent>;
  readonly #ranges: readonly { readonly timeline: string; readonly range: RestorableRange }[];
  readonly #reasons = new Map<string, string[]>();
  readonly #needed = new Set<string>();
  readonly #segments = new Set<string>();
  readonly #points = new Map<string, KeptPoint>();

  constructor(timelines: readonly TimelineContent[]) {
    this.#contents = new Map(timelines.map((content) => [content.timeline, content]));
    this.#ranges = timelines.flatMap((content) =>
      spansOf(content)
        .reverse()
        .flatMap((range) => (range.kind === 'range' ? [{ timeline: content.timeline, range }] : [])),
    );
  }

  /** Newest first. Those in segments only where these may go. */
  candidates(good: readonly SoundBackup[], { labels }: RetentionPolicy): Candidate[] {
    const bases = good.map((base): Candidate => {
      const { timeline, manifest } = base;
      return { timeline, revision: revisionOf(base), seenAt: manifest.completedAt, base, range: undefined };
    });
    const ends = (labels === undefined ? this.#ranges : []).flatMap(({ timeline, range }) =>
      range.segments.map(({ to: revision, times }): Candidate => ({
        timeline,
        revision,
        seenAt: times.last,
        base: undefined,
        range,
      })),
    );
    return [...bases, ...ends].sort((a, b) => (isNewer(a, b) ? -1 : 1));
  }

  everythingIn(window: Window, good: readonly SoundBackup[]): void {
    for (const base of good) {
      const place = {
        timeline: base.timeline,
        revision: revisionOf(base),
        seenAt: base.manifest.completedAt,
      };
      if (isIn(window, place)) this.#because(base, window.reason);
    }
    this.segmentsIn(window);
  }

  /** The segments of every point in the window, and the base that the oldest of them needs. */
  segmentsIn(window: Window): void {
    for (const { timeline, range } of this.#ranges) {
      const { segments, to } = range;
      if (segments.length === 0 || !isIn(window, { timeline, ...to })) continue;
      const from = oldestIn(window, timeline, range);
      this.#need(timeline, range, from, to.revision);
    }
  }

  point({ timeline, revision, seenAt: at, base, range }: Candidate, reason: string): void {
    if (base !== undefined) this.#because(base, reason);
    else if (range !== undefined) this.#need(timeline, range, revision, revision);
    const key = `${timeline}/${revision}/${base?.id}`;
    const { reasons = [] } = this.#points.get(key) ?? {};
    this.#points.set(key, { timeline, revision, seenAt: at, reasons: [...reasons, reason] });
  }

  /** The newest point of all: the end of what follows the newest good backup. */
  newest(base: SoundBackup | undefined): void {
    if (base === undefined) return;
    const { timeline } = base;
    const range = this.#ranges.find((one) => one.timeline === timeline)?.range;
    if (range === undefined) return;
    const { revision } = range.to;
    this.#need(timeline, range, revision, revision);
    const known = [...this.#points].find(([, one]) => one.timeline === timeline && one.revision === revision);
    const reasons = ['the newest restore point', ...(known?.[1].reasons ?? [])];
    const key = known?.[0] ?? `${timeline}/${revision}`;
    this.#points.set(key, { timeline, revision, seenAt: seenAt(range, revision), reasons });
  }

  result(): Pick<KeptPoints, 'points' | 'segments' | 'reasonFor'> {
    return {
      points: [...this.#points.values()].sort((a, b) => (isNewer(a, b) ? -1 : 1)),
      segments: this.#segments,
      reasonFor: ({ id }) =>
        this.#reasons.get(id)?.join(', ') ??
        (this.#needed.has(id) ? 'restore points behind it need it' : undefined),
    };
  }

  /**
   * Everything from the newest base at or below `from` up to `to`, in one range. The segments are those that a look from
   * that base finds, so that later looks find the same ones.
   */
  #need(timeline: string, { bases }: RestorableRange, from: bigint, to: bigint): void {
    const segments = this.#contents.get(timeline)?.segments ?? [];
    let base = bases.findLast((one) => revisionOf(one) <= from);
    while (base !== undefined) {
      this.#needed.add(base.id);
      let end = revisionOf(base);
      for (const segment of new SegmentCover(segments).above(end)) {
        if (end >= to) break;
        this.#segments.add(segment.name);
        end = segment.to;
      }
      // Ranges go on with a base right behind the end of segments, too.
      base = end < to ? bases.findLast((one) => revisionOf(one) === end + 1n) : undefined;
    }
  }

  #because({ id }: SoundBackup, reason: string): void {
    this.#reasons.set(id, [...(this.#reasons.get(id) ?? []), reason]);
  }
}

/** The oldest revision of a range that is in the window, given that its last one is; the state when that began counts. */
function oldestIn({ since, oldest }: Window, timeline: string, range: RestorableRange): bigint {
  const bySince =
    since === undefined || since <= range.from.seenAt ? range.from.revision : revisionAt(range, since);
  const byBackup = oldest?.timeline === timeline ? revisionOf(oldest) : range.from.revision;
  return bySince > byBackup ? bySince : byBackup;
}

function isNewer(a: Place, b: Place): boolean {
  if (a.timeline !== b.timeline) return a.timeline > b.timeline;
  return a.revision > b.revision;
}
