import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { EtcdClient, HashKV, MemberStatus } from '../etcd/client/etcd-client.ts';
import type { HashPoint, SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError, hasCode, reasonOf } from '../guardian-error.ts';
import type { Proof } from '../repository/manifest.ts';
import { type CompactionClient, type CompactionHash, compactionHash } from './compaction-hash.ts';

/**
 * Above so many bytes in use a member isn't asked for a hash that it would have to compute: it holds its writes
 * meanwhile, for 0.3 to 0.5 s for each GB. Those of the leader, or of an only member, are everyone's.
 */
export interface ProofBudget {
  readonly followerBytes: number;
  readonly leaderBytes: number;
}

/** See docs/verification.md for the reasons. */
export const DEFAULT_PROOF_BUDGET: ProofBudget = {
  followerBytes: 8 * 2 ** 30,
  leaderBytes: 4 * 2 ** 30,
};

export interface ProofRequest {
  /** The member to ask. */
  readonly endpoint: string;
  readonly budget: ProofBudget;
  /** How long to wait for the member's next compaction, whose hash costs nothing, before it has to compute one. Default 0. */
  readonly waitMs?: number | undefined;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** What the proof needs of etcd. */
export type ProvingClient = Pick<EtcdClient, 'status'> & CompactionClient;

/** What the proof needs of the verifier: its verdict, and the file's hash at any revision it holds. */
export interface HashedSnapshot {
  readonly verdict: SnapshotVerdictData;
  hashKVAt(point: HashPoint): Promise<number> | number;
}

/**
 * Compares the snapshot with what a live member answers for HashKV.
 *
 * Resolves to `compaction-hashkv` when the member kept an equal hash of a compaction up to the snapshot's revision, to
 * `live-hashkv` when it computed an equal one at the snapshot's revision, to `mismatch` when its hash is another, and to
 * `none` with the reason when the question can't be asked or answered: too large, compacted meanwhile, no right, no
 * answer. Rejects only when `signal` aborts.
 */
export async function proveSnapshot(
  client: ProvingClient,
  snapshot: HashedSnapshot,
  request: ProofRequest,
): Promise<Proof> {
  try {
    return await ask(client, snapshot, request);
  } catch (error) {
    request.signal?.throwIfAborted();
    return { kind: 'none', reason: `${request.endpoint} gave no hash to compare with: ${reasonOf(error)}` };
  }
}

async function ask(client: ProvingClient, snapshot: HashedSnapshot, request: ProofRequest): Promise<Proof> {
  const { endpoint, budget, waitMs = 0, signal } = request;
  const { verdict } = snapshot;
  const status = await client.status(endpoint, { signal });
  const budgetBytes = status.isLeader ? budget.leaderBytes : budget.followerBytes;
  const mayCompute = status.dbSizeInUse <= budgetBytes;
  const ofCompaction = await compactionHash(client, {
    ...{ endpoint, version: status.version, verdict, mayCompute, waitMs },
    ...{ timeoutMs: HASH_TIMEOUT_MS, signal },
  });
  if (ofCompaction !== undefined) return compared(snapshot, ofCompaction, request);
  if (!mayCompute) return { kind: 'none', reason: overBudget(status, budgetBytes) };
  await caughtUp(client, request, verdict.currentRevision);
  const answer = await hashAtSnapshot(client, request, verdict);
  return compared(snapshot, { answer, kept: false }, request);
}

async function compared(
  snapshot: HashedSnapshot,
  { answer, kept }: CompactionHash,
  { endpoint, clock }: ProofRequest,
): Promise<Proof> {
  const memberHash = {
    hash: answer.hash,
    revision: answer.hashRevision,
    compactRevision: answer.compactRevision,
    memberId: answer.header.memberId,
    endpoint,
    provenAt: clock(),
  };
  const fileHash = await snapshot.hashKVAt({
    revision: answer.hashRevision,
    compactRevision: answer.compactRevision,
  });
  if (fileHash !== answer.hash) return { kind: 'mismatch', ...memberHash, fileHash };
  return { kind: kept ? 'compaction-hashkv' : 'live-hashkv', ...memberHash };
}

function overBudget({ endpoint, dbSizeInUse, isLeader }: MemberStatus, budgetBytes: number): string {
  const whose = isLeader ? "the cluster's" : "that member's";
  return `the database in use at ${endpoint} (${dbSizeInUse} bytes) is larger than the proof's budget (${budgetBytes} bytes): hashing it would hold ${whose} writes for seconds`;
}

/** Waits until the member, which may be a follower that lags, has applied the snapshot's revision. */
async function caughtUp(client: ProvingClient, request: ProofRequest, revision: bigint): Promise<void> {
  const deadline = performance.now() + CATCH_UP_MS;
  for (;;) {
    const { header } = await client.status(request.endpoint, { signal: request.signal });
    if (header.revision >= revision) return;
    if (performance.now() > deadline) {
      throw new GuardianError(
        'backup.member-lags',
        `${request.endpoint} is still at revision ${header.revision}, the snapshot at ${revision}`,
      );
    }
    // etcd has no event for "applied revision N"; a member lags by milliseconds when it is healthy.
    await delay(CATCH_UP_STEP_MS, undefined, { signal: request.signal });
  }
}

const CATCH_UP_MS = 15_000;
const CATCH_UP_STEP_MS = 50;
/** Hashing 10 GB takes some 6 s of etcd's time; a busy disk makes it several times that. */
const HASH_TIMEOUT_MS = 120_000;

async function hashAtSnapshot(
  client: ProvingClient,
  request: ProofRequest,
  verdict: SnapshotVerdictData,
): Promise<HashKV> {
  const options = { signal: request.signal, timeoutMs: HASH_TIMEOUT_MS };
  const answer = await client
    .hashKV(request.endpoint, verdict.currentRevision, options)
    .catch((error: unknown) => {
      // Before 3.4.27 and 3.5.10 the compacted revision itself could be asked for by 0 only.
      if (!hasCode(error, 'etcd.compacted')) throw error;
      return client.hashKV(request.endpoint, 0n, options);
    });
  if (answer.compactRevision < verdict.compactRevision) {
    // A hash kept from the compaction at this very revision: it counts history that the file no longer holds. The
    // answer for 0 is always computed afresh.
    return sameRevision(await client.hashKV(request.endpoint, 0n, options), verdict.currentRevision);
  }
  return sameRevision(answer, verdict.currentRevision);
}

function sameRevision(answer: HashKV, revision: bigint): HashKV {
  if (answer.hashRevision === revision) return answer;
  throw new GuardianError(
    'backup.compacted-meanwhile',
    `revision ${revision} was compacted before its hash could be asked for (the member is at ${answer.hashRevision})`,
  );
}
