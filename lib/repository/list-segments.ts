import { GuardianError } from '../guardian-error.ts';
import { type BrokenSegment, type ChainPlace, type ListedSegment, type StoredSegment } from './chain.ts';
import { damagedDocument } from './document.ts';
import { segmentName } from './layout.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { readManifest } from './read-backup.ts';
import { type RepositorySettings } from './repository.ts';
import { lastSegmentUpTo, type NamedSegment, namedSegments } from './segment-names.ts';
import { readSegmentHead } from './segment-object.ts';

/** See `SegmentLog.list`. */
export async function* listSegments(
  settings: RepositorySettings,
  chain: ChainPlace,
  after: bigint | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedSegment, void> {
  const { store } = settings;
  const start = after === undefined ? 0n : await startAt(settings, chain, after, signal);
  const names = namedSegments(store, chain, start, signal);
  const links = new Links(chain, () => baseOf(settings, chain, signal));
  const read = (named: NamedSegment): Promise<ReadHead> => readHead(settings, named, signal);
  for await (const found of orderedAhead(names, READS_AT_ONCE, read)) {
    for (const listed of await links.place(found)) {
      if (after === undefined || listed.state === 'broken' || listed.head.to > after) yield listed;
    }
  }
}

/** A head that was read, or why it can't be used. */
export type ReadHead =
  ({ readonly state: 'sound' } & StoredSegment) | ({ readonly state: 'broken' } & BrokenSegment);

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

/** A forged name among ours must not hide the segment that holds the revision: look back a little. */
const LOOKS_BACK = 8;

async function startAt(
  settings: RepositorySettings,
  chain: ChainPlace,
  after: bigint,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  let limit = after;
  for (let look = 0; look < LOOKS_BACK && limit >= 0n; look++) {
    const named = await lastSegmentUpTo(settings.store, chain, limit, signal);
    if (named === undefined) return 0n;
    if ((await readHead(settings, named, signal)).state === 'sound') return named.follows;
    limit = named.follows - 1n;
  }
  return limit > 0n ? limit : 0n;
}

async function baseOf(
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

/** Sees the segments of a chain in the order of names, and tells which of them join. */
class Links {
  readonly #chain: ChainPlace;
  readonly #manifestSha256: () => Promise<string | undefined>;
  /** The last one that could be read: what its successor must link to. */
  #last: StoredSegment | undefined;
  /** True once it was told that nothing usable follows `#last`. */
  #endTold = false;

  constructor(chain: ChainPlace, manifestSha256: () => Promise<string | undefined>) {
    this.#chain = chain;
    this.#manifestSha256 = manifestSha256;
  }

  async place(found: ReadHead): Promise<ListedSegment[]> {
    if (found.state === 'broken') {
      if (found.from === this.#last?.head.to) this.#endTold = true;
      return [found];
    }
    const last = this.#last;
    const { head, name } = found;
    const missing: ListedSegment[] = [];
    let fault: string | undefined;
    if (last === undefined) fault = await this.#faultOfFirst(found);
    else if (head.from < last.head.to) {
      // It is not followed: what stands behind `last` may still follow that.
      return [broken(name, head.from, `it begins at revision ${head.from}, within ${last.name}`)];
    } else if (head.from === last.head.to) fault = faultOfLink(last, found);
    else {
      if (!this.#endTold) missing.push(this.#missingAt(last.head.to));
      if (head.index <= last.head.index)
        fault = `it is number ${head.index}, behind number ${last.head.index}`;
    }
    this.#last = found;
    this.#endTold = false;
    return [...missing, fault === undefined ? found : broken(name, head.base ?? head.from, fault)];
  }

  async #faultOfFirst({ head }: StoredSegment): Promise<string | undefined> {
    if (head.index > 0) return undefined;
    const manifest = await this.#manifestSha256();
    if (manifest === undefined || manifest === head.predecessor) return undefined;
    return 'it follows another base than that of its chain';
  }

  #missingAt(from: bigint): ListedSegment {
    const name = segmentName(this.#chain, from);
    const problem = new GuardianError('repository.missing', `${name} is gone, or was never written`, {
      hint: 'Points behind it need a base that was made later; a versioned bucket may still hold it.',
    });
    return { state: 'broken', name, from, problem };
  }
}

/** `StoredSegment`s that stand side by side. */
function faultOfLink(last: StoredSegment, { head }: StoredSegment): string | undefined {
  if (head.predecessor !== last.sha256)
    return `it follows another segment than ${last.name} as that stands there`;
  if (head.index !== last.head.index + 1)
    return `it is number ${head.index}, behind number ${last.head.index}`;
  if (head.etcdClusterId !== last.head.etcdClusterId)
    return 'it is of another etcd cluster than the one before';
  return undefined;
}

function broken(name: string, from: bigint, reason: string): ListedSegment {
  return { state: 'broken', name, from, problem: damagedDocument(name, reason) };
}
