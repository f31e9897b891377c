import { GuardianError } from '../guardian-error.ts';
import type { ChainPlace, ListedSegment, StoredSegment } from './chain.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { readManifest } from './read-backup.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { RepositorySettings } from './repository.ts';
import { lastUsable, type NamedSegment, namedSegments } from './segment-names.ts';
import { type SoundOrBroken, SegmentLinks } from './segment-links.ts';
import { readSegmentHead } from './segment-object.ts';

/** See `SegmentLog.list`. */
export async function* listSegments(
  settings: RepositorySettings,
  chain: ChainPlace,
  after: bigint | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedSegment, void> {
  const { store } = settings;
  const links = new SegmentLinks<StoredSegment>(chain, () => baseOf(settings, chain, signal));
  const read = (named: NamedSegment): Promise<ReadHead> => readHead(settings, named, signal);
  const start = after === undefined ? 0n : await startAt(store, chain, after, read, signal);
  const names = namedSegments(store, chain, start, signal);
  for await (const found of orderedAhead(names, READS_AT_ONCE, read)) {
    for (const listed of await links.place(found)) {
      if (after === undefined || listed.state === 'broken' || listed.head.to > after) yield listed;
    }
  }
}

/** A head that was read, or why it can't be used. */
export type ReadHead = SoundOrBroken<StoredSegment>;

/** Rejects only when the store can't be read at the moment. */
export async function readHead(
  settings: RepositorySettings,
  { object, follows }: NamedSegment,
  signal: AbortSignal | undefined,
): Promise<ReadHead> {
  try {
    return { state: 'sound', ...(await readSegmentHead(settings, object, signal)) };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    return { state: 'broken', name: object.name, from: follows, problem: error };
  }
}

const READS_AT_ONCE = 8;

/** Where the names begin that matter behind a revision: at the segment that holds what follows it. */
export async function startAt(
  store: ObjectStore,
  chain: ChainPlace,
  after: bigint,
  read: (named: NamedSegment) => Promise<Pick<ReadHead, 'state'>>,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  const { found } = await lastUsable(
    store,
    chain,
    after,
    async (named) => ({ ...named, ...(await read(named)) }),
    signal,
  );
  return found?.follows ?? 0n;
}

/** The manifest that a chain's first segment must name; undefined where the base was removed, or is damaged. */
export async function baseOf(
  settings: RepositorySettings,
  chain: ChainPlace,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    return (await readManifest(settings, chain, signal)).sha256;
  } catch (error) {
    signal?.throwIfAborted();
    // Removed, or damaged: segments outlive their base.
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    return undefined;
  }
}
