import type { ObjectStore, StoredObject } from '../storage/object-store.ts';
import type { ChainPlace } from './chain.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { parseName, segmentName, segmentsFolder } from './layout.ts';

/** A segment as its name tells it; nothing in it was read. */
export interface NamedSegment {
  readonly object: StoredObject;
  /** The revision in its name. */
  readonly follows: bigint;
}

/** The segments of a chain whose names hold at least `from`, in order. */
export async function* namedSegments(
  store: ObjectStore,
  chain: ChainPlace,
  from: bigint,
  signal: AbortSignal | undefined,
): AsyncGenerator<NamedSegment, void> {
  const after = from > 0n ? segmentName(chain, from - 1n) : undefined;
  for await (const object of store.list(segmentsFolder(chain), { after, signal })) {
    const named = parseName(object.name);
    if (named?.kind === 'segment' && named.follows >= from) yield { object, follows: named.follows };
  }
}

/**
 * The last segment whose name holds at most `limit`, found with a few dozen requests among any number: a store lists
 * forward only, so it leaps ahead until nothing is there, then halves.
 */
export async function lastSegmentUpTo(
  store: ObjectStore,
  chain: ChainPlace,
  limit: bigint,
  signal: AbortSignal | undefined,
): Promise<NamedSegment | undefined> {
  let best: NamedSegment | undefined;
  let start = 0n;
  let leap = 1n;
  // None is named from here on, up to the limit.
  let beyond = limit + 1n;
  while (start < beyond) {
    const page = await firstPage(store, chain, start, limit, signal);
    if (page.last === undefined) {
      if (best === undefined) return undefined;
      beyond = start;
    } else {
      if (page.isEnd) return page.last;
      best = page.last;
      leap = 4n * (leap > page.span ? leap : page.span);
    }
    const next = best.follows + 1n;
    start = next + leap < beyond ? next + leap : next + (beyond - next) / 2n;
  }
  return best;
}

export interface LastUsable<Read> {
  /** Undefined where none of those looked at can be used. */
  readonly found: Read | undefined;
  /** The revisions in the names behind it, the highest first: they are nobody's, or damaged. */
  readonly unusable: readonly bigint[];
}

/**
 * Of the segments whose names hold at most `limit`, the last one that `read` tells to be of use. Anyone who can write
 * the store may put any number of objects behind it: they are passed over, up to 4,096 of them.
 */
export async function lastUsable<Read extends { readonly state: string }>(
  store: ObjectStore,
  chain: ChainPlace,
  limit: bigint,
  read: (named: NamedSegment) => Promise<Read>,
  signal: AbortSignal | undefined,
): Promise<LastUsable<Read>> {
  const unusable: bigint[] = [];
  let below = limit;
  // One is enough almost always; then more and more at once.
  let span = 0n;
  while (below >= 0n && unusable.length < MOST_PASSED_OVER) {
    const last = await lastSegmentUpTo(store, chain, below, signal);
    if (last === undefined) break;
    const from = last.follows > span ? last.follows - span : 0n;
    const newestFirst = await lastNames(store, chain, from, last.follows, signal);
    let at = 0;
    for await (const one of orderedAhead(newestFirst, span === 0n ? 0 : READS_AT_ONCE - 1, read)) {
      if (one.state === 'sound') return { found: one, unusable };
      unusable.push(newestFirst[at++]?.follows ?? 0n);
    }
    below = (newestFirst.at(-1)?.follows ?? from) - 1n;
    span = span === 0n ? 64n : span * 8n;
  }
  return { found: undefined, unusable };
}

const MOST_PASSED_OVER = 4096;
const READS_AT_ONCE = 8;

/** The last page of the names between two revisions, newest first. */
async function lastNames(
  store: ObjectStore,
  chain: ChainPlace,
  from: bigint,
  upTo: bigint,
  signal: AbortSignal | undefined,
): Promise<NamedSegment[]> {
  const names: NamedSegment[] = [];
  for await (const segment of namedSegments(store, chain, from, signal)) {
    if (segment.follows > upTo) break;
    names.push(segment);
    if (names.length > PAGE) names.shift();
  }
  return names.reverse();
}

/** As many as one request lists. */
const PAGE = 1000;

interface Page {
  readonly last: NamedSegment | undefined;
  /** Revisions from the first one named to the last, at least 1. */
  readonly span: bigint;
  /** True when no further one is within the limit. */
  readonly isEnd: boolean;
}

async function firstPage(
  store: ObjectStore,
  chain: ChainPlace,
  from: bigint,
  limit: bigint,
  signal: AbortSignal | undefined,
): Promise<Page> {
  let first: NamedSegment | undefined;
  let last: NamedSegment | undefined;
  let listed = 0;
  let isEnd = true;
  for await (const segment of namedSegments(store, chain, from, signal)) {
    if (segment.follows > limit) break;
    first ??= segment;
    last = segment;
    isEnd = ++listed < PAGE;
    if (!isEnd) break;
  }
  const span = first === undefined || last === undefined ? 0n : last.follows - first.follows;
  return { last, span: span > 0n ? span : 1n, isEnd };
}
