import { setTimeout as delay } from 'node:timers/promises';
import { EtcdCompactedError } from '../../etcd/client/compacted-error.ts';
import type { EtcdClient, PackedWatchResponse } from '../../etcd/client/etcd-client.ts';
import type { PackedEvents } from '../../etcd/client/packed-events.ts';
import { concernsOneMember } from '../../etcd/client/rpc-error.ts';
import { GuardianError } from '../../guardian-error.ts';
import { CaptureBreak } from './capture-break.ts';
import { type OrderStart, RevisionOrder } from './revision-order.ts';

export interface WatchRevisionsRequest extends OrderStart {
  readonly clusterId: bigint;
  /** How often to ask how far etcd is, when it says nothing. Default 1,000. */
  readonly progressEveryMs?: number | undefined;
  /** A connection was lost, or none could be made; another is tried after `delayMs`. What it throws ends the watch. */
  readonly onTrouble?: ((trouble: WatchTrouble) => void) | undefined;
  readonly signal: AbortSignal;
}

export interface WatchTrouble {
  readonly endpoint: string;
  readonly error: GuardianError;
  readonly delayMs: number;
}

/** What watching needs of etcd. */
export type WatchingClient = Pick<EtcdClient, 'endpoints' | 'watchPacked' | 'range'>;

/** A piece of the history. It may be used until the next is asked for. */
export interface RevisionPiece {
  /** `connected`: the watch stands, and no revision behind its start can be missed any more. */
  readonly kind: 'connected' | 'events' | 'progress';
  readonly endpoint: string;
  /** Events [first, events.count) come next in the history; the last revision may go on in the next piece. */
  readonly events: PackedEvents;
  readonly first: number;
  /** The last revision of which every event was told, up to this piece. */
  readonly whole: bigint;
  /** The member's newest revision when it sent this. */
  readonly current: bigint;
}

/**
 * Every change of the whole key space behind a revision, in order, each once, whatever becomes of connections and
 * members: a lost one is replaced, best by one to another member, which must show the same history. Memory is that of
 * a piece of about 2 MiB. Ends only by `signal` (rejecting with its reason), by a `CaptureBreak`, or by an error that
 * no member and no other try would change (permission, credentials, certificates).
 */
export async function* watchRevisions(
  client: WatchingClient,
  request: WatchRevisionsRequest,
): AsyncGenerator<RevisionPiece, void> {
  const { signal, onTrouble } = request;
  const order = new RevisionOrder(request);
  const backOff = new BackOff(client.endpoints.length);
  let recognise = true;
  for (let member = 0; ;) {
    const endpoint = client.endpoints[member % client.endpoints.length] ?? '';
    try {
      for await (const piece of watchOnce(client, request, order, endpoint, recognise)) {
        if (piece.kind !== 'connected') backOff.reset();
        yield piece;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof EtcdCompactedError) {
        if (error.compactRevision > order.whole) throw compacted(error, order.whole);
        // Only the entry that would have shown the same history is gone.
        recognise = false;
        continue;
      }
      if (error instanceof CaptureBreak || !(error instanceof GuardianError) || !concernsOneMember(error))
        throw error;
      const delayMs = backOff.next();
      onTrouble?.({ endpoint, error, delayMs });
      await delay(delayMs, undefined, { signal });
      member++;
    }
    recognise = true;
  }
}

async function* watchOnce(
  client: WatchingClient,
  { clusterId, progressEveryMs = PROGRESS_EVERY_MS, signal }: WatchRevisionsRequest,
  order: RevisionOrder,
  endpoint: string,
  recognise: boolean,
): AsyncGenerator<RevisionPiece, void> {
  const startRevision = order.reconnect(recognise);
  const watch = client.watchPacked({ key: '\0', rangeEnd: '\0', startRevision, endpoint, signal });
  const asking = setInterval(() => {
    watch.requestProgress();
  }, progressEveryMs);
  try {
    for await (const response of watch) {
      const { kind, header, events, fragment } = response;
      if (header.clusterId !== clusterId) throw otherCluster(response, clusterId);
      if (kind === 'created') await notBehind(client, response, order.whole, signal);
      const first = kind === 'events' ? order.accept(events, fragment) : events.count;
      yield {
        ...{ kind: kind === 'created' ? 'connected' : kind, endpoint, events, first },
        ...{ whole: BigInt(order.whole), current: header.revision },
      };
    }
  } finally {
    clearInterval(asking);
  }
}

const PROGRESS_EVERY_MS = 1_000;

/** A member that lags is waited for; a whole cluster that is behind what was captured was put back. */
async function notBehind(
  client: WatchingClient,
  { header, endpoint }: PackedWatchResponse,
  whole: number,
  signal: AbortSignal,
): Promise<void> {
  if (header.revision >= whole) return;
  // Not serializable: the leader's word, so at least what any member has shown.
  const now = await client.range('\0', { countOnly: true, signal });
  if (now.header.revision >= whole) return;
  throw new CaptureBreak(
    'went-back',
    `the cluster at ${endpoint} is at revision ${now.header.revision}, behind ${whole} that it has shown before: it was restored`,
  );
}

function otherCluster({ endpoint, header }: PackedWatchResponse, clusterId: bigint): CaptureBreak {
  return new CaptureBreak(
    'other-cluster',
    `${endpoint} belongs to etcd cluster ${header.clusterId.toString(16)}, not to ${clusterId.toString(16)}`,
  );
}

function compacted(error: EtcdCompactedError, whole: number): CaptureBreak {
  return new CaptureBreak(
    'compacted',
    `etcd compacted its history up to revision ${error.compactRevision}; it was captured up to ${whole} only`,
    error,
  );
}

/** Waits between connections: hardly before another member's first turn, then longer and longer. */
class BackOff {
  private readonly members: number;
  private failures = 0;

  constructor(members: number) {
    this.members = members;
  }

  reset(): void {
    this.failures = 0;
  }

  next(): number {
    const rounds = Math.floor(this.failures++ / this.members);
    return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** rounds);
  }
}

const FIRST_DELAY_MS = 50;
/** Far below the time that kube-apiserver leaves between two compactions. */
const LONGEST_DELAY_MS = 5_000;
