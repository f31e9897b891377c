import { setTimeout as delay } from 'node:timers/promises';
import type { EtcdClient, HashKV } from '../etcd/client/etcd-client.ts';
import type { SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { hasCode } from '../guardian-error.ts';
import { type CompactionWatcher, keepsHashes, newestCompaction } from './newest-compaction.ts';

/** What asking for it needs of etcd. */
export type CompactionClient = CompactionWatcher & Pick<EtcdClient, 'hashKV'>;

export interface CompactionHashRequest {
  readonly endpoint: string;
  /** The member's version of etcd. */
  readonly version: string;
  readonly verdict: Pick<SnapshotVerdictData, 'compactRevision' | 'currentRevision' | 'totalEntries'>;
  /** Whether the member may be asked where it can't be excluded that it has to compute. */
  readonly mayCompute: boolean;
  /** How long to wait for the compaction. */
  readonly waitMs: number;
  /** For an answer that the member has to compute. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface CompactionHash {
  readonly answer: HashKV;
  /** False when the member had to compute it. */
  readonly kept: boolean;
}

/**
 * A hash that the member kept from a compaction which came after the snapshot's own and whose revision the snapshot
 * still holds, waiting for such a compaction as long as was asked for. Undefined when there is none.
 *
 * etcd computes the hash of a compaction while it compacts anyway, over the history since the compaction before, and
 * keeps the newest ten in memory (from 3.5.5 on; etcd: server/storage/mvcc/hash.go). So the answer costs nothing, and
 * only a snapshot taken between two compactions can be compared with it. For a revision that was compacted again since,
 * etcd answers from memory or not at all; for that of the newest compaction it computes if it kept nothing, because
 * the compaction isn't through or the member was restarted.
 */
export async function compactionHash(
  client: CompactionClient,
  request: CompactionHashRequest,
): Promise<CompactionHash | undefined> {
  const { verdict, signal } = request;
  if (!keepsHashes(request.version)) return undefined;
  const deadline = performance.now() + request.waitMs;
  const seen: SeenCompaction[] = [];
  for (;;) {
    const revision = await newestCompaction(client, {
      ...{ endpoint: request.endpoint, after: verdict.compactRevision, signal },
    });
    if (revision !== undefined && revision !== seen[0]?.revision) {
      seen.unshift({ revision, settledAt: performance.now() + settlingMs(verdict.totalEntries) });
    }
    const left = deadline - performance.now();
    for (const [index, compaction] of seen.entries()) {
      if (compaction.revision > verdict.currentRevision) continue;
      const isThrough = left <= 0 || compaction.settledAt <= performance.now();
      if (index === 0 && !(request.mayCompute && isThrough)) continue;
      const answer = await askFor(client, request, compaction.revision);
      // What was kept was computed before the compaction, by the one before.
      if (answer !== undefined) return { answer, kept: answer.compactRevision < compaction.revision };
    }
    // What follows is above the snapshot, too.
    const isPast = (seen[0]?.revision ?? 0n) > verdict.currentRevision;
    if (left <= 0 || isPast) return undefined;
    // etcd tells nobody that it compacts.
    await delay(Math.min(left, LOOK_EVERY_MS), undefined, { signal });
  }
}

interface SeenCompaction {
  readonly revision: bigint;
  /** On the clock of `performance.now()`: when it is most likely through. */
  readonly settledAt: number;
}

const LOOK_EVERY_MS = 1_000;

/** etcd looks at 1,000 entries at a time, and rests for 10 ms in between. */
function settlingMs(entries: number): number {
  return Math.ceil(entries / 1000) * 20;
}

async function askFor(
  client: CompactionClient,
  { endpoint, verdict, timeoutMs, signal }: CompactionHashRequest,
  revision: bigint,
): Promise<HashKV | undefined> {
  try {
    const answer = await client.hashKV(endpoint, revision, { timeoutMs, signal });
    return answer.compactRevision < verdict.compactRevision ? undefined : answer;
  } catch (error) {
    if (hasCode(error, 'etcd.compacted')) return undefined;
    throw error;
  }
}
