import { GuardianError } from '../guardian-error.ts';
import type { ChainTail, ListedSegment } from './chain.ts';
import type { KnownChain } from './known-points.ts';
import type { BackupEntry, Repository } from './repository.ts';
import { isTrimmed } from './trimmed-segments.ts';

/**
 * What of the chains that this machine has seen the store contradicts: in words, or as the error of a segment that these
 * keys don't vouch for. Segments that a trusted trim removed are no contradiction, whether they were swept or not; nor
 * are such from before there were keys, once there is a newer backup that the keys do vouch for. `shown`: all backups.
 */
export async function chainProblem(
  repository: Repository,
  cluster: string,
  known: readonly KnownChain[],
  shown: readonly BackupEntry[],
  signal: AbortSignal | undefined,
): Promise<string | GuardianError | undefined> {
  for (const chain of known) {
    const { timeline, id, follows, to, sha256, lastTrim } = chain;
    const place = { cluster, timeline, id };
    const trims = await repository.points.trims(place, { signal });
    if (trims.last < lastTrim) return `of chain ${id} someone took trims away`;
    if (isTrimmed(trims.trimmed, follows)) continue;
    const segment = await segmentAt(repository, place, to, signal);
    const what = `the segment of chain ${id} that ends at revision ${to}`;
    if (segment === undefined) return `${what} is gone, and nobody trusted removed it`;
    if (segment.state === 'broken') {
      const { problem } = segment;
      const isUntrusted = problem instanceof GuardianError && problem.code.startsWith('signature.');
      if (isUntrusted && isOlder(chain, shown)) continue;
      return isUntrusted ? problem : `${what} was sound and is not any more: ${problem.message}`;
    }
    if (segment.sha256 !== sha256) return `${what} is another one than before`;
  }
  return undefined;
}

/** What is known, with what is known now: the last segments of these chains, and the last trims of all. */
export async function withTails(
  repository: Repository,
  cluster: string,
  known: readonly KnownChain[],
  tails: readonly ChainTail[],
  signal: AbortSignal | undefined,
): Promise<KnownChain[]> {
  const chains = new Map(known.map((chain) => [`${chain.timeline}/${chain.id}`, chain]));
  for (const { timeline, id, last } of tails) {
    if (last === undefined) continue;
    const { from, base = from, to } = last.head;
    const lastTrim = chains.get(`${timeline}/${id}`)?.lastTrim ?? 0;
    chains.set(`${timeline}/${id}`, { timeline, id, follows: base, to, sha256: last.sha256, lastTrim });
  }
  const newest = [...chains].sort(([a], [b]) => (a < b ? 1 : -1)).slice(0, MOST_CHAINS);
  const updated: KnownChain[] = [];
  for (const [, chain] of newest) {
    const place = { cluster, timeline: chain.timeline, id: chain.id };
    const { last: lastTrim } = await repository.points.trims(place, { signal });
    updated.push({ ...chain, lastTrim: Math.max(lastTrim, chain.lastTrim) });
  }
  return updated;
}

/** As many are remembered of each cluster. Each check of one costs a few requests. */
const MOST_CHAINS = 8;

function isOlder(chain: KnownChain, shown: readonly BackupEntry[]): boolean {
  return shown.some(
    ({ state, removal, timeline, id }) =>
      state === 'sound' && removal === undefined && `${timeline}/${id}` > `${chain.timeline}/${chain.id}`,
  );
}

/** Only the first: that holds the revision. */
async function segmentAt(
  repository: Repository,
  chain: Pick<ChainTail, 'cluster' | 'timeline' | 'id'>,
  revision: bigint,
  signal: AbortSignal | undefined,
): Promise<ListedSegment | undefined> {
  for await (const segment of repository.segments.list(chain, { after: revision - 1n, signal }))
    return segment;
  return undefined;
}
