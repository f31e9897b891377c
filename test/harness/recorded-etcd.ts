import { setTimeout as delay } from 'node:timers/promises';
import type { EtcdClient, WatchEvent } from '../../lib/etcd/client/etcd-client.ts';
import { encodeTombstone } from '../../lib/etcd/mvcc/key-value.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { ChainTail, SegmentLog } from '../../lib/repository/chain.ts';
import type { KeptHash } from '../../lib/repository/read-segments.ts';
import { startSegment } from '../../lib/repository/start-segment.ts';
import { eventually } from './eventually.ts';
import { CAPTURE } from './segments.ts';

const AGAIN_AFTER_MS = 100;

/** Writes down what an etcd does, as a capture would: every change by a watch, and now and then the leases. */
export class RecordedEtcd implements AsyncDisposable {
  /** Hashes that the member kept, to go into the next segment. */
  readonly proofs: KeptHash[] = [];
  private readonly client: EtcdClient;
  private readonly ended = new AbortController();
  private readonly watching: Promise<void>;
  private readonly events: WatchEvent[] = [];
  private seen = 0n;
  private known = new Map<bigint, bigint>();

  /** Begins with the revision given. */
  constructor(client: EtcdClient, startRevision: bigint) {
    this.client = client;
    this.seen = startRevision - 1n;
    this.watching = this.watch();
  }

  /** Puts everything up to `to` into segments behind the tail, which end at these revisions. */
  async seal(log: SegmentLog, tail: ChainTail, ends: readonly bigint[]): Promise<ChainTail> {
    let last = tail;
    for (const to of ends) {
      await eventually(`the watch tells revision ${to}`, () => this.seen >= to);
      const builder = startSegment({ from: last.revision, writer: CAPTURE, clock: () => new Date() });
      for (const { type, kv, encoded } of this.events) {
        if (kv.modRevision <= last.revision || kv.modRevision > to) continue;
        const tombstone = type === 'delete';
        builder.add(kv.modRevision, tombstone ? encodeTombstone(kv.key) : encoded, tombstone);
      }
      builder.endRevision();
      const leases = to === ends.at(-1) ? await this.leases() : { complete: false, granted: [], gone: [] };
      last = await log.append(
        last,
        await builder.finish({ leases, proofs: this.proofs.splice(0), gap: undefined }),
      );
    }
    return last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended.abort();
    await this.watching;
  }

  /** What has changed since it was asked last; the first time, all of them. */
  private async leases(): Promise<{ complete: boolean; granted: [bigint, bigint][]; gone: bigint[] }> {
    const now = new Map<bigint, bigint>();
    for (const id of (await this.client.leases()).ids) {
      const lease = await this.client.leaseTimeToLive(id);
      if (lease !== undefined && lease.grantedTtl > 0n) now.set(BigInt.asUintN(64, id), lease.grantedTtl);
    }
    const complete = this.known.size === 0;
    const granted = [...now].filter(([id]) => !this.known.has(id));
    const gone = [...this.known.keys()].filter((id) => !now.has(id));
    this.known = now;
    return { complete, granted, gone };
  }

  /** Again behind what was seen where the connection is lost, as it is when the machine stands still for long. */
  private async watch(): Promise<void> {
    const { signal } = this.ended;
    do {
      try {
        const everything = { key: '\0', rangeEnd: '\0', startRevision: this.seen + 1n, signal };
        for await (const { events } of this.client.watch(everything)) {
          this.events.push(...events);
          this.seen = events.at(-1)?.kv.modRevision ?? this.seen;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof GuardianError && error.retryable)) throw error;
        await delay(AGAIN_AFTER_MS);
      }
    } while (!signal.aborted);
  }
}
