import type { ChainBase, ChainPlace, ChainTail, SegmentedChain, StoredSegment } from './chain.ts';
import { listChains } from './list-chains.ts';
import { newestOnTimeline, newestSound } from './list-backups.ts';
import { segmentName } from './layout.ts';
import { readHead, type ReadHead } from './list-segments.ts';
import type { RepositorySettings } from './repository.ts';
import { lastUsable, type NamedSegment } from './segment-names.ts';
import { newestTimeline } from './timelines.ts';

/** The tail behind a base: nothing was captured yet. */
export function tailOf({ cluster, timeline, id, manifest, manifestSha256 }: ChainBase): ChainTail {
  return {
    ...{ cluster, timeline, id },
    etcdClusterId: manifest.etcd.clusterId,
    revision: manifest.snapshot.currentRevision,
    predecessor: manifestSha256,
    index: 0,
    recipients: manifest.base.recipients,
    last: undefined,
  };
}

/** The tail behind a segment: also behind another writer's, to go on from there. */
export function tailBehind({ name, size, sha256, head }: StoredSegment): ChainTail {
  const { cluster, timeline, chain, etcdClusterId, to, index } = head;
  return {
    ...{ cluster, timeline, id: chain, etcdClusterId },
    revision: to,
    predecessor: sha256,
    index: index + 1,
    recipients: head.recipients,
    last: { name, size, sha256, head },
  };
}

/** See `SegmentLog.chains`. */
export async function segmentedChains(
  { store }: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<SegmentedChain[]> {
  const chains: SegmentedChain[] = [];
  for await (const { place, segmentsFrom } of listChains(store, cluster, timeline, signal)) {
    if (segmentsFrom !== undefined) chains.push({ ...place, from: segmentsFrom });
  }
  return chains.sort((a, b) => (a.from === b.from ? (a.id < b.id ? -1 : 1) : a.from < b.from ? -1 : 1));
}

/** See `SegmentLog.tails`. */
export async function chainTails(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<ChainTail[]> {
  const newest = await newestTimeline(settings, cluster, signal);
  if (newest === undefined) return [];
  const chains = await segmentedChains(settings, cluster, newest.timeline, signal);
  let tail: ChainTail | undefined;
  for (const chain of chains.slice(-CHAINS_TO_ASK)) {
    const end = await endOfChain(settings, chain, signal);
    if (end !== undefined && !end.isBlocked && (tail === undefined || end.tail.revision >= tail.revision))
      tail = end.tail;
  }
  const entries = await newestOnTimeline(settings, newest, BACKUPS_TO_ASK, signal);
  const base = newestSound(entries.filter(({ removal }) => removal === undefined));
  // What a base has segments behind can only be gone on with behind these.
  const isBegun = chains.some(({ id }) => id === base?.id);
  const behindBase = base === undefined || isBegun ? undefined : tailOf(base);
  if (tail === undefined) return behindBase === undefined ? [] : [behindBase];
  return behindBase !== undefined && behindBase.revision > tail.revision ? [tail, behindBase] : [tail];
}

/** Chains that begin later end later, but for such as were written by two captures at once. */
const CHAINS_TO_ASK = 4;
const BACKUPS_TO_ASK = 8;

export interface ChainEnd {
  readonly tail: ChainTail;
  /** True when something that can't be used has the name of the next segment. */
  readonly isBlocked: boolean;
}

/** Behind the last segment that can be trusted; undefined where there is none among the last ones. */
export async function endOfChain(
  settings: RepositorySettings,
  chain: ChainPlace,
  signal: AbortSignal | undefined,
): Promise<ChainEnd | undefined> {
  const read = (named: NamedSegment): Promise<ReadHead> => readHead(settings, named, signal);
  const { found, unusable } = await lastUsable(settings.store, chain, LARGEST, read, signal);
  if (found?.state !== 'sound') return undefined;
  const tail = tailBehind(found);
  const passedOver = unusable.map((revision) => segmentName(chain, revision));
  return {
    tail: passedOver.length === 0 ? tail : { ...tail, passedOver },
    isBlocked: unusable.includes(tail.revision),
  };
}

const LARGEST = 2n ** 63n - 1n;
