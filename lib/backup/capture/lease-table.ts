import { setTimeout as delay } from 'node:timers/promises';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { SegmentHead } from '../../repository/segment-head.ts';

/** What asking for leases needs of etcd. */
export type LeaseClient = Pick<EtcdClient, 'leases' | 'leaseTimeToLive'>;

export interface LeaseTableOptions {
  /** How often all leases are listed. Default 60,000. */
  readonly listEveryMs?: number | undefined;
  readonly signal: AbortSignal;
}

/** As segments carry them; ids unsigned. */
export type LeaseChanges = SegmentHead['leases'];

/** As many as a segment's head takes. */
const MOST_CHANGES = 8192;
const ASKED_AT_ONCE = 8;
const LIST_EVERY_MS = 60_000;
/** A list or an answer that failed is asked for again so much later. */
const AGAIN_AFTER_MS = 1_000;

/**
 * Granted TTLs of the leases of a cluster, which no watch tells: asked for when an event first names a lease, and by a
 * list of all now and then, which also finds those without keys and those that are gone. A lease whose end was quicker
 * than our question is left out.
 */
export class LeaseTable {
  private readonly client: LeaseClient;
  private readonly signal: AbortSignal;
  private readonly listEveryMs: number;
  /** Seconds granted, by id. */
  private readonly granted = new Map<bigint, bigint>();
  /** Ids without an answer yet; `taken`: those of them that are being asked for. */
  private readonly wanted = new Set<bigint>();
  private readonly taken = new Set<bigint>();
  private asking = 0;
  private waiters: (() => void)[] = [];
  /** Changes that no segment carries yet. */
  private readonly news = new Map<bigint, 'granted' | 'gone'>();
  private untold = true;
  private listed = false;
  private readonly failed = Promise.withResolvers<never>();
  private lastHigh = 0;
  private lastLow = 0;

  constructor(client: LeaseClient, { signal, listEveryMs = LIST_EVERY_MS }: LeaseTableOptions) {
    this.client = client;
    this.signal = signal;
    this.listEveryMs = listEveryMs;
    // Told by `run`; it must not count as unhandled where that hasn't begun, or has ended.
    this.failed.promise.catch(() => undefined);
  }

  /**
   * Lists all leases at once and then every so often; resolves when the signal aborts. Rejects with what nobody expected,
   * also of questions that were asked beside it.
   */
  async run(): Promise<void> {
    await Promise.race([this.listNowAndThen(), this.failed.promise]);
  }

  private async listNowAndThen(): Promise<void> {
    for (;;) {
      const done = await this.list();
      try {
        await delay(done ? this.listEveryMs : AGAIN_AFTER_MS, undefined, { signal: this.signal });
      } catch {
        return;
      }
    }
  }

  /** An event names this lease. For hot paths. */
  saw(high: number, low: number): void {
    if (high === this.lastHigh && low === this.lastLow) return;
    this.lastHigh = high;
    this.lastLow = low;
    const id = (BigInt(high) << 32n) | BigInt(low);
    if (!this.granted.has(id)) this.want(id);
  }

  /** Resolves when everything is known that can be by now, or after `ms`. */
  async settled(ms: number): Promise<void> {
    const isSettled = (): boolean => this.listed && this.wanted.size === 0;
    const limit = performance.now() + ms;
    while (!isSettled() && performance.now() < limit && !this.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const late = setTimeout(resolve, limit - performance.now(), undefined);
      this.waiters.push(() => {
        resolve(undefined);
      });
      await promise;
      clearTimeout(late);
    }
  }

  /** From now on segments are told of everything anew: those before may never be stored. */
  tellAgain(): void {
    this.untold = true;
    this.lastHigh = this.lastLow = 0;
  }

  /** What the next segment carries: the whole table once it is known, then what changed. At most so much as it may. */
  take(): LeaseChanges {
    const complete = this.untold && this.listed;
    if (complete) {
      this.untold = false;
      this.news.clear();
      for (const id of this.granted.keys()) this.news.set(id, 'granted');
    }
    const changes: { complete: boolean; granted: [bigint, bigint][]; gone: bigint[] } = {
      ...{ complete, granted: [], gone: [] },
    };
    for (const [id, what] of this.news) {
      if (changes.granted.length + changes.gone.length === MOST_CHANGES) break;
      this.news.delete(id);
      const seconds = this.granted.get(id);
      if (what === 'gone') changes.gone.push(id);
      else if (seconds !== undefined) changes.granted.push([id, seconds]);
    }
    return changes;
  }

  private async list(): Promise<boolean> {
    try {
      const { ids } = await this.client.leases({ signal: this.signal });
      const alive = new Set(ids.map((id) => BigInt.asUintN(64, id)));
      for (const id of this.granted.keys()) if (!alive.has(id)) this.forget(id);
      for (const id of alive) if (!this.granted.has(id)) this.want(id);
      this.listed = true;
      this.wake();
      return true;
    } catch (error) {
      if (this.signal.aborted || error instanceof GuardianError) return false;
      throw error;
    }
  }

  private want(id: bigint): void {
    if (this.wanted.has(id)) return;
    this.wanted.add(id);
    if (this.asking < ASKED_AT_ONCE) this.ask().catch(this.failed.reject);
  }

  /** One of a few askers: takes what is wanted until nothing is. */
  private async ask(): Promise<void> {
    this.asking++;
    for (const id of this.wanted) {
      if (this.taken.has(id)) continue;
      this.taken.add(id);
      await this.learn(id);
      this.taken.delete(id);
      this.wanted.delete(id);
    }
    this.asking--;
    this.wake();
  }

  /** What can't be learnt now is found by the next list. */
  private async learn(id: bigint): Promise<void> {
    try {
      const lease = await this.client.leaseTimeToLive(BigInt.asIntN(64, id), { signal: this.signal });
      if (lease === undefined) {
        this.forget(id);
        return;
      }
      this.granted.set(id, lease.grantedTtl);
      this.news.set(id, 'granted');
    } catch (error) {
      if (!this.signal.aborted && !(error instanceof GuardianError)) throw error;
    }
  }

  private forget(id: bigint): void {
    if (this.granted.delete(id)) this.news.set(id, 'gone');
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter();
  }
}
