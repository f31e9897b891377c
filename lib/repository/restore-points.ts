import { GuardianError } from '../guardian-error.ts';
import type { CallOptions } from './call-options.ts';
import {
  type ChosenPoint,
  choosePoint,
  nothingToRestore,
  type PointQuery,
  PointUnavailableError,
} from './choose-point.ts';
import { doubtfulTimes, doubtsAt } from './doubtful-times.ts';
import { checkClusterName } from './layout.ts';
import { type LostPoints, lostPoints } from './lost-points.ts';
import { revisionOf, spansOf } from './point-spans.ts';
import { refuseDoubtfulTime } from './sure-time.ts';
import type { FindPointOptions, RestorePoint, RestorePoints, TimelinePoints } from './points.ts';
import { reachCheck } from './reach-check.ts';
import type { BackupEntry, BackupPlace, RepositorySettings, SoundBackup } from './repository.ts';
import {
  basesUpTo,
  readBases,
  readLastSegments,
  readTimelineContent,
  type ReadTimeline,
  type SegmentLists,
  type TimelineBases,
} from './timeline-content.ts';
import { listTimelines } from './timelines.ts';
import { markTrim, trimsOf } from './trims.ts';

export type { FindPointOptions, RestorePoint, TimelinePoints } from './points.ts';

export function restorePoints(settings: RepositorySettings, segments: SegmentLists): RestorePoints {
  const find: RestorePoints['find'] = (cluster, query, options) =>
    findPoint(settings, segments, cluster, query, options);
  return {
    list: (cluster, options) => listPoints(settings, segments, cluster, options),
    find,
    lostWithout: (backup, options) => pointsLostWithout(settings, segments, backup, options),
    reachCheck: () => reachCheck(settings, find),
    trims: (chain, options = {}) => trimsOf(settings, chain, options.signal),
    undoTrim: (chain, trim, request, options = {}) =>
      markTrim(settings, chain, { action: 'undo', trim }, request, options.signal),
  };
}

/** See `RestorePoints.list`. */
export async function listPoints(
  settings: RepositorySettings,
  segments: SegmentLists,
  cluster: string,
  { signal }: CallOptions = {},
): Promise<TimelinePoints[]> {
  checkClusterName(cluster);
  const points: TimelinePoints[] = [];
  let endedAt: Date | undefined;
  for (const timeline of await listTimelines(settings, cluster, signal)) {
    const { bases, unusable } = await readBases(settings, cluster, timeline.timeline, signal);
    const content = await readTimelineContent(settings, segments, timeline, bases, { signal });
    const spans = spansOf(content).reverse();
    const doubtful = doubtfulTimes(content).reverse();
    points.push({ timeline, endedAt, spans, doubtful, unusable, problems: content.problems });
    if (timeline.state === 'sound') endedAt = timeline.begunAt;
  }
  return points;
}

/** See `RestorePoints.find`. */
export async function findPoint(
  settings: RepositorySettings,
  segments: SegmentLists,
  cluster: string,
  query: PointQuery,
  options: FindPointOptions = {},
): Promise<RestorePoint> {
  checkClusterName(cluster);
  const finder = new Finder(settings, segments, cluster, query, options.signal);
  const timelines = await timelinesAsked(settings, cluster, options);
  let refused: PointUnavailableError | undefined;
  const passedOver: BackupEntry[] = [];
  for (const timeline of timelines) {
    const known = await readBases(settings, cluster, timeline, options.signal);
    if (known.bases.length === 0) {
      passedOver.push(...known.unusable);
      continue;
    }
    const found = await finder.on(timeline, known);
    if (!(found instanceof PointUnavailableError)) {
      if (refused !== undefined && query.kind === 'revision') throw elsewhere(refused, found);
      return query.kind === 'latest' ? { ...found, passedOver: [...passedOver, ...found.passedOver] } : found;
    }
    if (query.kind === 'revision') refused ??= found;
    else refused = nextTo(found, refused);
    if (!isBefore(found)) break;
  }
  // With the wrong keys, all of them are damaged: then that is the news.
  const damaged = passedOver.find((entry) => entry.state === 'damaged');
  throw refused ?? damaged?.problem ?? nothingToRestore(options.timeline ?? timelines[0] ?? '');
}

/** See `RestorePoints.lostWithout`. */
export async function pointsLostWithout(
  settings: RepositorySettings,
  segments: SegmentLists,
  { cluster, timeline, id }: BackupPlace,
  { signal }: CallOptions = {},
): Promise<LostPoints | undefined> {
  const { bases } = await readBases(settings, cluster, timeline, signal);
  const base = bases.find((one) => one.id === id);
  if (base === undefined) return undefined;
  const before = bases.findLast((one) => one !== base && revisionOf(one) <= revisionOf(base));
  const next = bases.find((one) => revisionOf(one) > revisionOf(base));
  const limit = next && revisionOf(next);
  const content = await readTimelineContent(settings, segments, { cluster, timeline }, bases, {
    after: revisionOf(before ?? base) - 1n,
    upTo: limit,
    isLast: (one) => limit !== undefined && (one.state === 'sound' ? one.head.to : one.from) >= limit,
    signal,
  });
  return lostPoints(content, base);
}

async function timelinesAsked(
  settings: RepositorySettings,
  cluster: string,
  { timeline, signal }: FindPointOptions,
): Promise<string[]> {
  const timelines = (await listTimelines(settings, cluster, signal)).map((entry) => entry.timeline);
  const asked = timeline === undefined ? timelines : timelines.filter((one) => one === timeline);
  if (asked.length > 0) return asked;
  const what = timeline === undefined ? 'backup' : `timeline ${timeline}`;
  throw new GuardianError(
    'repository.not-found',
    `no ${what} of cluster ${cluster} in ${settings.store.location}`,
    {
      hint:
        timelines.length > 0
          ? `There are ${timelines.join(', ')}.`
          : 'Check --cluster and the prefix of --store.',
    },
  );
}

/** Looks for one point, timeline by timeline. */
class Finder {
  readonly #settings: RepositorySettings;
  readonly #segments: SegmentLists;
  readonly #cluster: string;
  readonly #query: PointQuery;
  readonly #signal: AbortSignal | undefined;

  constructor(
    settings: RepositorySettings,
    segments: SegmentLists,
    cluster: string,
    query: PointQuery,
    signal: AbortSignal | undefined,
  ) {
    this.#settings = settings;
    this.#segments = segments;
    this.#cluster = cluster;
    this.#query = query;
    this.#signal = signal;
  }

  async on(timeline: string, known: TimelineBases): Promise<RestorePoint | PointUnavailableError> {
    if (this.#query.kind === 'time') {
      const refused = await this.#doubtOf(timeline, known, this.#query.time);
      if (refused !== undefined) return refused;
    }
    let start = this.#startAmong(known.bases);
    for (;;) {
      const content = await this.#read(timeline, known.bases.slice(Math.max(start, 0)));
      try {
        return this.#pointOf(content, known, choosePoint(content, this.#query));
      } catch (error) {
        if (!(error instanceof PointUnavailableError)) throw error;
        // The clock of whoever made the base was ahead of the capture's: an earlier one is needed.
        if (this.#query.kind !== 'time' || !isBefore(error) || start <= 0) return error;
        start--;
      }
    }
  }

  /** The last segments tell all steps of the clock; only a time that these put in doubt needs all heads. */
  async #doubtOf(
    timeline: string,
    { bases }: TimelineBases,
    time: Date,
  ): Promise<PointUnavailableError | undefined> {
    const place = { cluster: this.#cluster, timeline };
    const segments = await readLastSegments(this.#segments, place, this.#signal);
    const doubts = doubtfulTimes({ segments, bases }, { isWhole: false });
    if (doubtsAt(doubts, time).length === 0) return undefined;
    const signal = this.#signal;
    const content = await readTimelineContent(this.#settings, this.#segments, place, bases, { signal });
    try {
      refuseDoubtfulTime(content, time);
      return undefined;
    } catch (error) {
      if (error instanceof PointUnavailableError) return error;
      throw error;
    }
  }

  /** The base at which to begin to read; -1: the query is before all of them. */
  #startAmong(bases: readonly SoundBackup[]): number {
    const query = this.#query;
    switch (query.kind) {
      case 'latest':
        return bases.length - 1;
      case 'revision':
        return basesUpTo(bases, query.revision).length - 1;
      case 'time':
        return bases.findLastIndex(({ manifest }) => manifest.completedAt <= query.time);
    }
  }

  /** `bases`: from the one on at which to begin. The segment that holds its revision tells when that was seen. */
  #read(timeline: string, bases: readonly SoundBackup[]): Promise<ReadTimeline> {
    const query = this.#query;
    const [first] = bases;
    const behind =
      query.kind === 'revision' ? bases.find((base) => revisionOf(base) > query.revision) : undefined;
    return readTimelineContent(this.#settings, this.#segments, { cluster: this.#cluster, timeline }, bases, {
      after: first && revisionOf(first) - 1n,
      upTo: behind && revisionOf(behind),
      isLast: (one) => {
        if (query.kind === 'latest') return false;
        if (query.kind === 'revision') {
          return (one.state === 'sound' ? one.head.to : one.from) >= query.revision;
        }
        return one.state === 'sound' && (one.head.times.at(-1)?.[1] ?? one.head.sealedAt) > query.time;
      },
      keepHeads: true,
      signal: this.#signal,
    });
  }

  #pointOf(content: ReadTimeline, known: TimelineBases, chosen: ChosenPoint): RestorePoint {
    const { timeline, revision, seenAt, base } = chosen;
    const segments = chosen.segments.flatMap(({ name }) => content.heads.get(name) ?? []);
    const last = this.#query.kind === 'latest' ? spansOf(content).at(-1) : undefined;
    return {
      ...{ cluster: this.#cluster, timeline, revision, seenAt, base, segments },
      passedOver: this.#query.kind === 'latest' ? newerThan(base, known.unusable) : [],
      behind: last?.kind === 'hole' ? last : undefined,
    };
  }
}

function newerThan(base: SoundBackup, entries: readonly BackupEntry[]): BackupEntry[] {
  return entries.filter((entry) =>
    entry.state === 'sound' ? revisionOf(entry) > revisionOf(base) : entry.id > base.id,
  );
}

/** Whether what was asked for is older than everything on the timeline. */
function isBefore({ code }: PointUnavailableError): boolean {
  return code === 'point.before-first' || code === 'point.compacted';
}

/** What an older timeline says, with what a newer one said before: its first point is the next one. */
function nextTo(
  older: PointUnavailableError,
  newer: PointUnavailableError | undefined,
): PointUnavailableError {
  if (newer === undefined || older.after !== undefined) return older;
  return new PointUnavailableError(older.code, older.message, older.before, newer.after);
}

/** A revision that the newest timeline doesn't have: an older one has another state of that number. */
function elsewhere(refused: PointUnavailableError, { timeline }: RestorePoint): PointUnavailableError {
  const advice = `Timeline ${timeline} has that revision: ask for it with --timeline ${timeline}.`;
  return new PointUnavailableError(refused.code, refused.message, refused.before, refused.after, advice);
}
