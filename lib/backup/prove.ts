import { setTimeout as delay } from 'node:timers/promises';
import { type Clock } from '../clock.ts';
import { type EtcdClient, type HashKV } from '../etcd/client/etcd-client.ts';
import { type HashPoint, type SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError, hasCode, reasonOf } from '../guardian-error.ts';
import { type Proof } from '../repository/manifest.ts';

export interface ProofRequest {
  /** The member to ask; the leader only where there is no other. */
  readonly endpoint: string;
  /**
   * Above this many bytes in use a live hash is not asked for: etcd holds that member's writes while it hashes,
   * about a second for each 2 GB.
   */
  readonly budgetBytes: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** What the proof needs of etcd. */
export type ProvingClient = Pick<EtcdClient, 'status' | 'hashKV'>;

/** What the proof needs of the verifier: its verdict, and the file's hash at any revision it holds. */
export interface HashedSnapshot {
  readonly verdict: SnapshotVerdictData;
  hashKVAt(point: HashPoint): Promise<number> | number;
}

/**
 * Compares the snapshot with what a live member answers for HashKV at the snapshot's revision.
 *
 * Resolves to `live-hashkv` when they are equal, to `mismatch` when they are not, and to `none` with the reason when
 * the question can't be asked or answered: too large, compacted meanwhile, no right, no answer. Rejects only when
 * `signal` aborts.
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
  const { endpoint, signal } = request;
  const { verdict } = snapshot;
  const status = await client.status(endpoint, { signal });
  if (status.dbSizeInUse > request.budgetBytes) {
    const reason = `the database in use at ${endpoint} (${status.dbSizeInUse} bytes) is larger than the proof's budget (${request.budgetBytes} bytes): hashing it would hold that member's writes for seconds`;
    return { kind: 'none', reason };
  }
  await caughtUp(client, request, verdict.currentRevision);
  const answer = await hashAtSnapshot(client, request, verdict);
  const memberHash = {
    hash: answer.hash,
    revision: answer.hashRevision,
    compactRevision: answer.compactRevision,
    memberId: answer.header.memberId,
    endpoint,
    provenAt: request.clock(),
  };
  const fileHash = await snapshot.hashKVAt({
    revision: answer.hashRevision,
    compactRevision: answer.compactRevision,
  });
  if (fileHash === answer.hash) return { kind: 'live-hashkv', ...memberHash };
  return { kind: 'mismatch', ...memberHash, fileHash };
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
