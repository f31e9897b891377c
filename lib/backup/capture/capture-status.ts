import { reasonOf } from '../../guardian-error.ts';
import type { Clock } from '../../clock.ts';
import type { ChainPlace } from '../../repository/chain.ts';
import type { ClockStep } from '../../repository/clock-steps.ts';
import type { SegmentQueue } from './segment-queue.ts';
import type { Sealer } from './sealer.ts';
import type { ChainCheckEvent } from './chain-check.ts';
import type { ExtraBaseEvent } from './extra-bases.ts';
import type { ChainWord, ShipEvent } from './ship-segments.ts';
import type { RevisionPiece } from './watch-revisions.ts';

/** How a capture does, for a status line, /metrics and /healthz. */
export interface CaptureStatus {
  /**
   * - `starting`: looking where to go on;
   * - `taking-base`: the watch runs, and waits for the base that its chain begins with;
   * - `capturing`: segments follow one another;
   * - `stopped`.
   */
  readonly state: 'starting' | 'taking-base' | 'capturing' | 'stopped';
  readonly cluster: string;
  readonly chain: ChainPlace | undefined;
  /** Everything up to here can be restored; undefined while nothing is stored. */
  readonly storedRevision: bigint | undefined;
  /** Everything up to here was seen. */
  readonly seenRevision: bigint | undefined;
  /** etcd's newest, as far as it told. */
  readonly currentRevision: bigint | undefined;
  /** What would be lost if etcd and this process ended now. */
  readonly lagRevisions: number;
  readonly lagSeconds: number;
  /** The member that is watched; undefined while there is no connection. */
  readonly endpoint: string | undefined;
  readonly waitingSegments: number;
  readonly waitingBytes: number;
  readonly spilledBytes: number;
  /** Counted since the process began. */
  readonly gaps: number;
  /** Holes behind which nothing could be restored any more, until a base was taken. */
  readonly breaks: number;
  /** Looks at the store whether what was stored still stands. */
  readonly checks: number;
  readonly bases: number;
  readonly storedSegments: number;
  readonly storedBytes: number;
  readonly capturedEvents: number;
  readonly connections: number;
  readonly clockSteps: number;
  /** The last time that this machine's clock went another way than time did. */
  readonly lastClockStep: ClockStep | undefined;
  /** Of etcd, store or base; undefined when there was none since everything is well again. */
  readonly trouble: { readonly message: string; readonly since: Date } | undefined;
}

/** Keeps the books of one capture. */
export class CaptureProgress {
  private readonly cluster: string;
  private readonly clock: Clock;
  private sealer: Sealer | undefined;
  private queue: SegmentQueue<ChainWord> | undefined;
  private state: CaptureStatus['state'] = 'starting';
  private chain: ChainPlace | undefined;
  private storedRevision: bigint | undefined;
  private seenRevision: bigint | undefined;
  private currentRevision: bigint | undefined;
  private storingAtMs: number | undefined;
  private heardAtMs = performance.now();
  private endpoint: string | undefined;
  private readonly counts = {
    ...{ gaps: 0, bases: 0, storedSegments: 0, storedBytes: 0, capturedEvents: 0, connections: 0 },
    ...{ breaks: 0, checks: 0 },
    clockSteps: 0,
  };
  private lastClockStep: ClockStep | undefined;
  private readonly troubles = new Map<string, { readonly message: string; readonly since: Date }>();

  constructor(cluster: string, clock: Clock) {
    this.cluster = cluster;
    this.clock = clock;
  }

  /** The member that is watched now. */
  get watched(): string | undefined {
    return this.endpoint;
  }

  get hasChain(): boolean {
    return this.state === 'capturing';
  }

  begins(queue: SegmentQueue<ChainWord>): void {
    this.queue = queue;
    this.sealer = undefined;
    this.state = 'starting';
    this.storingAtMs = undefined;
  }

  seals(sealer: Sealer): void {
    this.sealer = sealer;
  }

  stopped(): void {
    this.state = 'stopped';
    this.endpoint = undefined;
  }

  saw({ kind, endpoint, events, first, whole, current }: RevisionPiece): void {
    this.heardAtMs = performance.now();
    this.seenRevision = whole;
    this.currentRevision = current > whole ? current : whole;
    this.counts.capturedEvents += events.count - first;
    if (kind === 'connected') {
      this.counts.connections++;
      this.endpoint = endpoint;
    } else this.troubles.delete('etcd');
  }

  clockStepped(step: ClockStep): void {
    this.counts.clockSteps++;
    this.lastClockStep = step;
  }

  /** Something is wrong with etcd, the store or a base. */
  troubled(of: string, error: unknown): void {
    const since = this.troubles.get(of)?.since ?? this.clock();
    this.troubles.set(of, { message: reasonOf(error), since });
    if (of === 'etcd') this.endpoint = undefined;
  }

  shipped(event: ShipEvent): void {
    switch (event.kind) {
      case 'taking-base':
        this.state = 'taking-base';
        break;
      case 'chain':
        this.state = 'capturing';
        if (event.gap !== undefined) this.counts.gaps++;
        this.reached(event.tail, event.tail.revision);
        break;
      case 'base':
        this.counts.bases++;
        this.troubles.delete('base');
        break;
      case 'storing':
        this.storingAtMs = event.firstAtMs;
        break;
      case 'stored':
        this.counts.storedSegments++;
        this.counts.storedBytes += event.segment.size;
        this.reached(event.tail, event.tail.revision);
        break;
      case 'adopted':
        this.reached(event.tail, event.tail.revision);
        break;
      case 'skipped':
        this.storingAtMs = undefined;
        break;
      case 'trouble':
        this.troubled(event.of, event.error);
        break;
    }
  }

  cared(event: ChainCheckEvent | ExtraBaseEvent): void {
    switch (event.kind) {
      case 'chain-broken':
        this.counts.breaks++;
        this.troubled('chain', event.error);
        break;
      case 'chain-checked':
        this.counts.checks++;
        for (const what of ['chain', 'check']) this.troubles.delete(what);
        break;
      case 'check-failed':
        this.troubled('check', event.error);
        break;
      case 'extra-base-taken':
        this.counts.bases++;
        for (const what of ['chain', 'base']) this.troubles.delete(what);
        break;
      case 'extra-base-failed':
        this.troubled('base', event.error);
        break;
      case 'extra-base':
        break;
    }
  }

  status(): CaptureStatus {
    const { state, cluster, chain, storedRevision, seenRevision, currentRevision, endpoint } = this;
    const waiting = this.queue?.waiting();
    const [trouble] = this.troubles.values();
    const behind = (currentRevision ?? 0n) - (storedRevision ?? currentRevision ?? 0n);
    return {
      ...{ state, cluster, chain, storedRevision, seenRevision, currentRevision, endpoint, trouble },
      lagRevisions: Math.max(0, Number(behind)),
      lagSeconds: this.lagSeconds(),
      waitingSegments: waiting?.segments ?? 0,
      waitingBytes: waiting?.bytes ?? 0,
      spilledBytes: waiting?.spilledBytes ?? 0,
      ...this.counts,
      lastClockStep: this.lastClockStep,
    };
  }

  /** Since the oldest event that isn't stored; without one, since etcd last said that there is none. */
  private lagSeconds(): number {
    const since = this.storingAtMs ?? this.queue?.oldestAtMs ?? this.sealer?.oldestAtMs ?? this.heardAtMs;
    return Math.max(0, performance.now() - since) / 1000;
  }

  private reached({ cluster, timeline, id }: ChainPlace, revision: bigint): void {
    this.chain = { cluster, timeline, id };
    this.storedRevision = revision;
    this.storingAtMs = undefined;
    this.troubles.delete('store');
  }
}
