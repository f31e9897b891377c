import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import type { EtcdClient, ResponseHeader } from '../../etcd/client/etcd-client.ts';
import { GuardianError } from '../../guardian-error.ts';
import { ChainTakenError, type ChainTail, type SegmentFacts } from '../../repository/chain.ts';
import type { ClockStep } from '../../repository/clock-steps.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { clusterName } from '../cluster-name.ts';
import { CaptureBreak, gapFact, otherHistory } from './capture-break.ts';
import { positionBehind } from './capture-position.ts';
import { ClockWatch } from './clock-watch.ts';
import { LeaseTable } from './lease-table.ts';
import { SEAL_LIMITS, Sealer } from './sealer.ts';
import type { BaseTaken, Gap, TakeBase } from './ship-segments.ts';
import { refuseUnfit } from './store-fitness.ts';
import { watchRevisions, type WatchTrouble } from './watch-revisions.ts';

export interface CatchUpRequest {
  /** Left out: the uid of namespace kube-system. */
  readonly cluster?: string | undefined;
  readonly retainUntil?: Date | undefined;
  /** So long an etcd that has gone away is waited for. Default 60,000. */
  readonly patienceMs?: number | undefined;
}

export interface CatchUpTools {
  readonly client: EtcdClient;
  readonly repository: Pick<Repository, 'find' | 'segments' | 'beginTimeline'>;
  /** The store that the repository is in. */
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly takeBase: TakeBase;
  readonly onEvent?: ((event: CatchUpEvent) => void) | undefined;
  readonly signal: AbortSignal;
}

export type CatchUpEvent =
  /** A capture seems to run: it is waited for. */
  | { readonly kind: 'waiting'; readonly tail: ChainTail; readonly revision: bigint }
  | { readonly kind: 'stored'; readonly tail: ChainTail }
  /** A connection to etcd was lost, or none could be made; another is tried. */
  | ({ readonly kind: 'watch-trouble' } & WatchTrouble)
  /** The clock of this machine went another way than time did, or than that of the last writer. */
  | { readonly kind: 'clock-stepped'; readonly step: ClockStep }
  /** No chain can be extended, for this reason. */
  | { readonly kind: 'taking-base'; readonly reason: string };

/** A restore point, and how it came about. */
export interface CaughtUp {
  /**
   * - `segments`: written now;
   * - `capture`: by a capture that runs;
   * - `nothing-new`: nothing had changed;
   * - `base`: no chain could be extended, for the `reason`.
   */
  readonly how: 'segments' | 'capture' | 'nothing-new' | 'base';
  readonly cluster: string;
  readonly timeline: string;
  /** Of the chain that holds it. */
  readonly chain: string;
  readonly revision: bigint;
  readonly segments: number;
  readonly reason: string | undefined;
  readonly base: BaseTaken['backup'] | undefined;
}

/**
 * Brings the newest chain of a cluster up to the revision that etcd is at now, once. A capture that runs is waited for;
 * with no chain that can be extended, a base is taken. Rejects with `capture.store-unfit`, and with the errors of
 * client, store and base; also with that of an etcd that went away meanwhile and doesn't come back.
 */
export async function catchUp(request: CatchUpRequest, tools: CatchUpTools): Promise<CaughtUp> {
  await refuseUnfit(tools.store, tools.signal);
  const cluster = await clusterName(tools.client, request.cluster, tools.signal);
  // A linearizable read: nothing that a client was told to be written is behind it.
  const { header } = await tools.client.range('\0', { countOnly: true, signal: tools.signal });
  const leaving = new AbortController();
  const signal = AbortSignal.any([tools.signal, leaving.signal]);
  const leases = new LeaseTable(tools.client, { signal });
  const listing = leases.run();
  try {
    return await new CatchUp({ ...tools, signal }, cluster, header, leases, request).run();
  } finally {
    leaving.abort();
    await listing;
  }
}

class CatchUp {
  private readonly tools: CatchUpTools;
  private readonly cluster: string;
  private readonly clusterId: bigint;
  private readonly target: bigint;
  private readonly leases: LeaseTable;
  private readonly retainUntil: Date | undefined;
  private readonly patienceMs: number;
  private readonly writer: SegmentFacts['writer'];
  private readonly clockWatch: ClockWatch;
  private written = 0;
  private base: BaseTaken['backup'] | undefined;
  private gap: Gap | undefined;

  constructor(
    tools: CatchUpTools,
    cluster: string,
    { clusterId, revision }: ResponseHeader,
    leases: LeaseTable,
    { retainUntil, patienceMs = PATIENCE_WITH_ETCD_MS }: CatchUpRequest,
  ) {
    this.tools = tools;
    this.cluster = cluster;
    this.clusterId = clusterId;
    this.target = revision;
    this.leases = leases;
    this.retainUntil = retainUntil;
    this.patienceMs = patienceMs;
    const id = Buffer.from(tools.randomBytes(8)).readBigUInt64BE();
    this.writer = { id, kind: 'catch-up', sealIntervalMs: 0 };
    const onStep = (step: ClockStep): void => tools.onEvent?.({ kind: 'clock-stepped', step });
    this.clockWatch = new ClockWatch({ clock: tools.clock, writerId: id, onStep });
  }

  async run(): Promise<CaughtUp> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const reached = await this.extendNewest();
      if (reached === 'taken') continue;
      if (reached !== undefined) return reached;
      await this.takeBase();
    }
    throw new GuardianError(
      'capture.contended',
      `others keep extending the chains of cluster ${this.cluster}`,
      {
        hint: 'Run one capture of a cluster into one store.',
        retryable: true,
      },
    );
  }

  /** Undefined when there is no chain that can be extended. */
  private async extendNewest(): Promise<CaughtUp | 'taken' | undefined> {
    const { repository, signal } = this.tools;
    for (const tail of await repository.segments.tails(this.cluster, { signal })) {
      const reached = await this.extend(tail);
      if (!(reached instanceof CaptureBreak)) return reached;
      const after = this.gap?.after ?? tail.revision;
      this.gap = { after, reason: reached.message, history: otherHistory(reached) };
      if (this.gap.history !== undefined) this.clockWatch.clear();
    }
    return undefined;
  }

  private async takeBase(): Promise<void> {
    const reason = this.gap?.reason ?? 'there is no backup of this cluster yet';
    this.tools.onEvent?.({ kind: 'taking-base', reason });
    const { repository, takeBase, signal } = this.tools;
    if (this.gap?.history !== undefined) {
      const { clusterId: etcdClusterId, cluster } = this;
      await repository.beginTimeline({ cluster, etcdClusterId, reason: this.gap.history }, { signal });
    }
    this.base = (await takeBase(signal)).backup;
  }

  /** From the tail to the target, or why that can't be; `taken`: another writer was quicker. */
  private async extend(start: ChainTail): Promise<CaughtUp | CaptureBreak | 'taken'> {
    const waited = await this.waitForCapture(start);
    const tail = waited ?? start;
    if (waited !== undefined && waited.revision >= this.target)
      return this.result('capture', waited, waited.revision);
    try {
      const end = await this.write(tail);
      return this.result(this.written > 0 ? 'segments' : 'nothing-new', end, end.revision);
    } catch (error) {
      if (error instanceof CaptureBreak) return error;
      if (!(error instanceof ChainTakenError)) throw error;
      if (error.winner === undefined) return new CaptureBreak('chain-unusable', error.message, error);
      return 'taken';
    }
  }

  /** The tail once a capture that runs has moved it; undefined when none seems to. */
  private async waitForCapture(start: ChainTail): Promise<ChainTail | undefined> {
    const { repository, signal, onEvent } = this.tools;
    const writer = start.last?.head.writer;
    if (writer?.kind !== 'capture' || start.revision >= this.target) return undefined;
    onEvent?.({ kind: 'waiting', tail: start, revision: this.target });
    let tail = start;
    let movedAtMs = performance.now();
    while (
      tail.revision < this.target &&
      performance.now() - movedAtMs < writer.sealIntervalMs + PATIENCE_MS
    ) {
      // No store tells that an object was written.
      await delay(LOOK_EVERY_MS, undefined, { signal });
      const tails = await repository.segments.tails(this.cluster, { signal });
      const now = tails.find(({ timeline, id }) => timeline === start.timeline && id === start.id);
      if (now === undefined || now.revision <= tail.revision) continue;
      tail = now;
      movedAtMs = performance.now();
    }
    return tail;
  }

  private async write(start: ChainTail): Promise<ChainTail> {
    const { client, repository, clock, signal } = this.tools;
    const { clusterId, after, mark } = await positionBehind(repository, start, undefined, signal);
    const { clockWatch } = this;
    clockWatch.follows(start);
    let tail = start;
    const sealer = new Sealer({
      ...{ after, writer: this.writer, clock, leases: this.leases },
      limits: { ...SEAL_LIMITS, intervalMs: LONGEST_TIMER_MS },
      clockSteps: () => clockWatch.steps,
      onSealed: async ({ draft }) => {
        const gap = tail.index === 0 && this.gap !== undefined ? gapFact(this.gap) : undefined;
        const told = { ...draft, facts: { ...draft.facts, gap } };
        tail = await repository.segments.append(tail, told, { signal, retainUntil: this.retainUntil });
        this.written++;
        this.tools.onEvent?.({ kind: 'stored', tail });
      },
    });
    this.leases.tellAgain();
    let heardAtMs = Infinity;
    let reached = after;
    const onTrouble = (trouble: WatchTrouble): void => {
      if (performance.now() - heardAtMs > this.patienceMs) throw trouble.error;
      this.tools.onEvent?.({ kind: 'watch-trouble', ...trouble });
    };
    try {
      await this.leases.settled(LEASES_WITHIN_MS);
      heardAtMs = performance.now();
      for await (const piece of watchRevisions(client, { clusterId, after, mark, onTrouble, signal })) {
        heardAtMs = performance.now();
        clockWatch.look(reached);
        await sealer.add(piece);
        reached = piece.whole;
        if (piece.kind !== 'connected' && piece.whole >= this.target) break;
      }
      await sealer.sealNow();
      return tail;
    } finally {
      sealer.stop();
    }
  }

  private result(
    how: CaughtUp['how'],
    { timeline, id }: { readonly timeline: string; readonly id: string },
    revision: bigint,
  ): CaughtUp {
    const { cluster, base, gap } = this;
    const reason =
      base === undefined ? undefined : (gap?.reason ?? 'there was no backup of this cluster yet');
    return {
      ...{ cluster, timeline, chain: id, revision, segments: this.written, reason, base },
      how: base === undefined ? how : 'base',
    };
  }
}

const MOST_TRIES = 10;
const PATIENCE_MS = 5_000;
const PATIENCE_WITH_ETCD_MS = 60_000;
const LOOK_EVERY_MS = 500;
const LEASES_WITHIN_MS = 5_000;
/** Sealed when everything is there, or by size. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
