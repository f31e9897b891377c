import type { GuardianError } from '../guardian-error.ts';
import type { CallOptions } from './call-options.ts';
import type { ListedSegment, SegmentedChain, SegmentLog, StoredSegment } from './chain.ts';
import type { StoredObject } from '../storage/object-store.ts';
import { newestOnTimeline } from './list-backups.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { revisionOf, type TimelineContent } from './point-spans.ts';
import type { BackupEntry, RepositorySettings, SoundBackup } from './repository.ts';
import { followsOf, type ListedOutline, outlineOf } from './segment-outline.ts';
import type { TrimState } from './trim-state.ts';
import { listTrimMarks, readTrims } from './trims.ts';
import { isTrimmed, type TrimmedSegments } from './trimmed-segments.ts';

/** The part of a `SegmentLog` that finding points needs. */
export type SegmentLists = Pick<SegmentLog, 'chains' | 'list' | 'last'>;

/** The backups of one timeline that aren't removed. */
export interface TimelineBases {
  /** Those that can be restored from, ascending by revision. */
  readonly bases: readonly SoundBackup[];
  /** Damaged ones, and those that were found to differ from their member; newest first. */
  readonly unusable: readonly BackupEntry[];
}

export async function readBases(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<TimelineBases> {
  const entries = await newestOnTimeline(settings, { cluster, timeline }, Infinity, signal);
  return basesAmong(entries.filter(({ removal }) => removal === undefined));
}

/** `entries`: of one timeline, newest first. */
export function basesAmong(entries: readonly BackupEntry[]): TimelineBases {
  const bases = entries.filter(isGoodBase).reverse();
  return { bases, unusable: entries.filter((entry) => !isGoodBase(entry)) };
}

/** Whether one would restore from it without being told to. */
export function isGoodBase(entry: BackupEntry): entry is SoundBackup {
  return entry.state === 'sound' && entry.manifest.proof.kind !== 'mismatch';
}

export interface SegmentRange extends CallOptions {
  /** Segments that end at or below it are left out. */
  readonly after?: bigint | undefined;
  /** Chains whose names begin above it are left out. */
  readonly upTo?: bigint | undefined;
  /** True for the first segment of a chain behind which nothing more of that chain is needed. */
  readonly isLast?: ((segment: ListedSegment) => boolean) | undefined;
}

export interface ReadTimeline extends TimelineContent {
  /** Trims that can't be trusted: they hide nothing. */
  readonly problems: readonly GuardianError[];
  /** The heads of the sound segments by name, of their times the last one only; empty unless `keepHeads` was asked for. */
  readonly heads: ReadonlyMap<string, StoredSegment>;
}

/** Reads the heads of the segments of a timeline, those of a few chains at once. */
export async function readTimelineContent(
  settings: RepositorySettings,
  segments: SegmentLists,
  { cluster, timeline }: { readonly cluster: string; readonly timeline: string },
  bases: readonly SoundBackup[],
  { after, upTo, isLast, keepHeads = false, signal }: SegmentRange & { readonly keepHeads?: boolean } = {},
): Promise<ReadTimeline> {
  const heads = new Map<string, StoredSegment>();
  const trims = await readTrimsOf(settings, cluster, timeline, signal);
  const readChain = async (chain: SegmentedChain): Promise<readonly ListedOutline[]> => {
    const { trimmed = [] } = trims.get(chain.id) ?? {};
    const outlines: ListedOutline[] = [];
    const start = pastTrimmed(chain.from, trimmed, after);
    for await (const listed of segments.list(
      chain,
      start === undefined ? { signal } : { after: start, signal },
    )) {
      const outline = outlineOf(chain.id, listed);
      if (!isTrimmed(trimmed, followsOf(outline))) {
        outlines.push(outline);
        if (keepHeads && listed.state === 'sound') heads.set(listed.name, leaner(listed));
      }
      if (isLast?.(listed) === true) break;
    }
    return outlines;
  };
  const all = await segments.chains(cluster, timeline, { signal });
  const chains = all.filter(({ from }) => upTo === undefined || from <= upTo);
  const read: ListedOutline[] = [];
  for await (const outlines of orderedAhead(chains, CHAINS_AT_ONCE - 1, readChain)) read.push(...outlines);
  return {
    cluster,
    timeline,
    bases,
    segments: read.sort(byFrom),
    trimmed: [...trims.values()].flatMap(({ trimmed }) => trimmed),
    problems: [...trims.values()].flatMap(({ problems }) => problems),
    heads,
  };
}

/** Times are most of a head, and its outline has them; clock steps are the same in each. */
function leaner({ name, size, sha256, head }: StoredSegment): StoredSegment {
  return { name, size, sha256, head: { ...head, times: head.times.slice(-1), clockSteps: undefined } };
}

/** The last segment of each chain, by where they begin. */
export async function readLastSegments(
  segments: SegmentLists,
  { cluster, timeline }: { readonly cluster: string; readonly timeline: string },
  signal: AbortSignal | undefined,
): Promise<ListedOutline[]> {
  const chains = await segments.chains(cluster, timeline, { signal });
  const lastOf = async (chain: SegmentedChain): Promise<ListedOutline[]> => {
    const last = await segments.last(chain, { signal });
    return last === undefined ? [] : [outlineOf(chain.id, { state: 'sound', ...last })];
  };
  const read: ListedOutline[] = [];
  for await (const last of orderedAhead(chains, READS_AT_ONCE, lastOf)) read.push(...last);
  return read.sort(byFrom);
}

/** Each reads several heads at once itself. */
const CHAINS_AT_ONCE = 4;

/** What is removed of each chain, also of those that have nothing left; by id. */
async function readTrimsOf(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<Map<string, TrimState>> {
  const marks = await listTrimMarks(settings, cluster, timeline, signal);
  const read = async ([id, objects]: [string, StoredObject[]]): Promise<[string, TrimState]> => [
    id,
    await readTrims(settings, objects, signal),
  ];
  const states = new Map<string, TrimState>();
  for await (const [id, state] of orderedAhead(marks, READS_AT_ONCE, read)) states.set(id, state);
  return states;
}

const READS_AT_ONCE = 8;

/** Heads of what was trimmed at a chain's beginning aren't read. */
function pastTrimmed(
  begin: bigint,
  trimmed: readonly TrimmedSegments[],
  after: bigint | undefined,
): bigint | undefined {
  let past = begin;
  for (const { from, to } of trimmed) if (from <= past && to > past) past = to;
  if (past === begin) return after;
  return after === undefined || after < past ? past : after;
}

/** Broken ones behind sound ones of the same `from`. */
function byFrom(a: ListedOutline, b: ListedOutline): number {
  if (a.from !== b.from) return a.from < b.from ? -1 : 1;
  return Number(a.state === 'broken') - Number(b.state === 'broken');
}

/** Bases whose revision is at most `revision`; all are ascending. */
export function basesUpTo(bases: readonly SoundBackup[], revision: bigint): readonly SoundBackup[] {
  return bases.slice(0, bases.findLastIndex((base) => revisionOf(base) <= revision) + 1);
}
