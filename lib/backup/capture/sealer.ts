import type { Clock } from '../../clock.ts';
import { hasCode } from '../../guardian-error.ts';
import type { SegmentDraft, SegmentFacts } from '../../repository/chain.ts';
import type { ClockStep } from '../../repository/clock-steps.ts';
import { type SegmentBuilder, startSegment } from '../../repository/start-segment.ts';
import { CaptureBreak } from './capture-break.ts';
import type { LeaseTable } from './lease-table.ts';
import type { RevisionPiece } from './watch-revisions.ts';

/** When a segment is sealed: as soon as one of these is reached and its last revision is whole. */
export interface SealLimits {
  /** Since its first event. */
  readonly intervalMs: number;
  /** That it holds, compressed for the most part; a store takes 8 MiB at once. */
  readonly bytes: number;
  readonly events: number;
}

export const SEAL_LIMITS: SealLimits = { intervalMs: 10_000, bytes: 5 << 20, events: 200_000 };

export interface SealerSettings {
  /** Everything up to here is there already. */
  readonly after: bigint;
  readonly writer: SegmentFacts['writer'];
  readonly limits: SealLimits;
  readonly clock: Clock;
  readonly leases: LeaseTable;
  /** Hashes that members kept, of revisions up to `to`, which no segment carries yet. */
  readonly takeProofs?: ((to: bigint) => SegmentFacts['proofs']) | undefined;
  /** Where the clock stepped, as far as is known. */
  readonly clockSteps?: (() => readonly ClockStep[]) | undefined;
  /** Takes over a sealed segment; resolves when there is room for another. Called in order. */
  readonly onSealed: (segment: SealedSegment) => Promise<void>;
}

export interface SealedSegment {
  readonly draft: SegmentDraft;
  /** On the clock of `performance.now()`: when its first event came. */
  readonly firstAtMs: number;
}

/** Cuts the history into segments. */
export class Sealer {
  private readonly settings: SealerSettings;
  private builder: SegmentBuilder;
  private timer: NodeJS.Timeout | undefined;
  private due = false;
  private firstAtMs = 0;
  /** Resolves when what was sealed so far has been taken over. */
  private sealing: Promise<void> = Promise.resolve();
  /** Of the segments that are sealed and not handed over yet: `firstAtMs`. */
  private readonly underWay: number[] = [];
  private failure: { readonly error: unknown } | undefined;

  constructor(settings: SealerSettings) {
    this.settings = settings;
    this.builder = this.begin(settings.after);
  }

  /** When the first event came that was not handed over yet, as `SealedSegment.firstAtMs`; undefined: there is none. */
  get oldestAtMs(): number | undefined {
    const [sealing] = this.underWay;
    return sealing ?? (this.builder.events === 0 ? undefined : this.firstAtMs);
  }

  /** Takes in what comes next. Waits where more is sealed than is taken over. Rejects with an error of `onSealed`. */
  async add(piece: RevisionPiece): Promise<void> {
    if (this.failure !== undefined) throw this.failure.error;
    const { events, first, whole } = piece;
    if (first < events.count) {
      this.takeStorable(piece);
      if (whole === BigInt(events.revisions[events.count - 1] ?? 0)) this.builder.endRevision();
    }
    const { heldBytes, events: count } = this.builder;
    const { bytes, events: most } = this.settings.limits;
    if (this.due || heldBytes >= bytes || count >= most) this.seal();
    await this.builder.settled();
    if (this.underWay.length > 1) await this.sealing;
  }

  /** Seals what is whole; resolves when all that was sealed has been taken over. */
  async sealNow(): Promise<void> {
    this.seal();
    await this.sealing;
    if (this.failure !== undefined) throw this.failure.error;
  }

  /** Ends it without sealing what is left. */
  stop(): void {
    clearTimeout(this.timer);
  }

  /** A change that no segment can hold is a hole between what is captured before it and the base taken behind it. */
  private takeStorable(piece: RevisionPiece): void {
    try {
      this.take(piece);
    } catch (error) {
      if (hasCode(error, 'capture.too-large')) throw new CaptureBreak('unstorable', error.message, error);
      throw error;
    }
  }

  private take({ events, first }: RevisionPiece): void {
    const { bytes, count, revisions, starts, ends, tombstones, leaseHighs, leaseLows } = events;
    const { builder } = this;
    const { leases } = this.settings;
    if (builder.events === 0) this.startTimer();
    for (let at = first; at < count; at++) {
      const value = bytes.subarray(starts[at], ends[at]);
      builder.add(BigInt(revisions[at] ?? 0), value, tombstones[at] === 1);
      const high = leaseHighs[at] ?? 0;
      const low = leaseLows[at] ?? 0;
      if (high !== 0 || low !== 0) leases.saw(high, low);
    }
  }

  private startTimer(): void {
    this.firstAtMs = performance.now();
    this.timer = setTimeout(() => {
      this.due = true;
      this.seal();
    }, this.settings.limits.intervalMs);
  }

  /** Within a revision nothing happens; it is sealed with its end. */
  private seal(): void {
    const { builder, firstAtMs } = this;
    if (builder.events === 0 || builder.isOpen) return;
    clearTimeout(this.timer);
    this.due = false;
    this.builder = this.begin(builder.to);
    this.underWay.push(firstAtMs);
    this.sealing = this.sealing
      .then(() => this.finish(builder, firstAtMs))
      .catch((error: unknown) => {
        this.failure ??= { error };
      })
      .finally(() => {
        this.underWay.shift();
      });
  }

  private async finish(builder: SegmentBuilder, firstAtMs: number): Promise<void> {
    if (this.failure !== undefined) return;
    const { leases, takeProofs, clockSteps, onSealed } = this.settings;
    // Time for answers about leases that this segment names first; later ones are told by the next segment.
    await leases.settled(LEASES_WITHIN_MS);
    const proofs = takeProofs?.(builder.to) ?? [];
    const draft = await builder.finish({
      ...{ leases: leases.take(), proofs, gap: undefined },
      clockSteps: clockSteps?.().filter(({ revision }) => revision <= builder.to),
    });
    await onSealed({ draft, firstAtMs });
  }

  private begin(from: bigint): SegmentBuilder {
    const { writer, clock } = this.settings;
    return startSegment({ from, writer, clock });
  }
}

/** A follower that has lost its leader answers nothing: segments don't wait for it. */
const LEASES_WITHIN_MS = 250;
