import { setTimeout as delay } from 'node:timers/promises';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import { tailBehind } from '../../repository/chain-tails.ts';
import {
  type ChainBase,
  ChainTakenError,
  type ChainTail,
  type SegmentDraft,
  type SegmentLog,
  type StoredSegment,
} from '../../repository/chain.ts';
import type { Manifest } from '../../repository/manifest.ts';
import { CaptureBreak, gapFact, type OtherHistory } from './capture-break.ts';
import type { SealedSegment } from './sealer.ts';
import type { SegmentQueue } from './segment-queue.ts';
import { trimDraft } from './trim-draft.ts';

/** What whoever watches tells whoever stores, between segments. */
export type ChainWord =
  /** The segments behind this follow `tail`. */
  | { readonly kind: 'resume'; readonly tail: ChainTail; readonly gap: Gap | undefined }
  /** They follow revision `after`: a base at or behind it is needed, since there is a gap before, or nothing yet. */
  | {
      readonly kind: 'begin';
      readonly after: bigint;
      readonly clusterId: bigint;
      readonly gap: Gap | undefined;
    };

export type BeginWord = Extract<ChainWord, { kind: 'begin' }>;

export interface Gap {
  /** The last revision before it that can be restored to. */
  readonly after: bigint;
  readonly reason: string;
  /** What follows is another history, which no base alone would tell: it gets a timeline of its own. */
  readonly history: OtherHistory | undefined;
}

/** A base of the live cluster, at its revision of now or later. `reason`: why, for whoever finds it later. */
export type TakeBase = (signal: AbortSignal, reason?: string) => Promise<BaseTaken>;

export interface BaseTaken {
  readonly backup: ChainBase & { readonly manifest: Pick<Manifest, 'etcd' | 'snapshot' | 'base'> };
  readonly timelineReason: string | undefined;
}

export interface ShipSettings {
  readonly log: Pick<SegmentLog, 'append' | 'tailOf'>;
  readonly queue: SegmentQueue<ChainWord>;
  readonly takeBase: TakeBase;
  readonly beginTimeline: (etcdClusterId: bigint, reason: OtherHistory) => Promise<unknown>;
  readonly writerId: bigint;
  readonly retainUntil?: (() => Date | undefined) | undefined;
  readonly onEvent: (event: ShipEvent) => void;
  /** Before bases that follow one another, so that trouble never makes a tight loop of them. */
  readonly baseDelayMs: (basesInARow: number) => number;
  /** Segments that were stored since the last base make this an isolated event. */
  readonly settledSegments: number;
}

export type ShipEvent =
  | { readonly kind: 'chain'; readonly tail: ChainTail; readonly gap: Gap | undefined }
  | { readonly kind: 'taking-base'; readonly gap: Gap | undefined }
  | ({ readonly kind: 'base' } & BaseTaken)
  /** A segment whose first event came at `firstAtMs`, as in `SealedSegment`. It ends with `stored` or `skipped`. */
  | { readonly kind: 'storing'; readonly firstAtMs: number }
  | { readonly kind: 'stored'; readonly tail: ChainTail; readonly segment: StoredSegment }
  /** A base, or another writer's segment, holds all of it. */
  | { readonly kind: 'skipped' }
  /** A catch-up run's segment stood there: it is part of the chain now. */
  | { readonly kind: 'adopted'; readonly tail: ChainTail }
  | {
      readonly kind: 'trouble';
      readonly of: 'store' | 'base';
      readonly error: unknown;
      readonly delayMs: number;
    };

/**
 * Stores what the queue holds, in order, each segment behind the one before, and takes the bases that chains begin
 * with. Resolves when the queue has ended and everything is stored. A store that is away is waited for.
 *
 * Rejects with `capture.superseded` when another capture extends the chain, with a `CaptureBreak` when the chain can't
 * be extended any more, and with what makes every base impossible while there never was one.
 */
export async function shipSegments(settings: ShipSettings, signal: AbortSignal): Promise<void> {
  await new Shipper(settings, signal).run();
}

class Shipper {
  private readonly settings: ShipSettings;
  private readonly signal: AbortSignal;
  private tail: ChainTail | undefined;
  /** To be told by the first segment of the chain. */
  private gap: Gap | undefined;
  private basesInARow = 0;
  private storedSinceBase = 0;

  constructor(settings: ShipSettings, signal: AbortSignal) {
    this.settings = settings;
    this.signal = signal;
  }

  async run(): Promise<void> {
    for (;;) {
      const next = await this.settings.queue.take(this.signal);
      if (next === undefined) return;
      if (next.kind === 'segment') {
        await this.store(next);
        continue;
      }
      const { word } = next;
      if (word.kind === 'begin') await this.begin(word);
      else this.follow(word.tail, word.gap);
    }
  }

  private follow(tail: ChainTail, gap: Gap | undefined): void {
    this.tail = tail;
    this.gap = gap;
    this.settings.onEvent({ kind: 'chain', tail, gap });
  }

  private async begin({ after, clusterId, gap: told }: BeginWord): Promise<void> {
    const { tail, settings } = this;
    // A base of this very history that was taken behind the gap serves as well as a new one.
    const isSame = tail?.etcdClusterId === clusterId && told?.history === undefined;
    if (isSame && tail.index === 0 && tail.revision >= after) return;
    const gap = told && { ...told, after: tail?.revision ?? told.after };
    settings.onEvent({ kind: 'taking-base', gap });
    let history = gap?.history;
    const base = await this.untilTaken(async () => {
      if (history !== undefined) await settings.beginTimeline(clusterId, history);
      history = undefined;
      return this.takeBase(after);
    });
    this.storedSinceBase = 0;
    settings.onEvent({ kind: 'base', ...base, timelineReason: gap?.history ?? base.timelineReason });
    this.follow(settings.log.tailOf(base.backup), gap);
  }

  private async takeBase(after: bigint): Promise<BaseTaken> {
    const base = await this.settings.takeBase(this.signal);
    const revision = base.backup.manifest.snapshot.currentRevision;
    if (revision >= after) return base;
    throw new GuardianError(
      'capture.base-behind',
      `the base is of revision ${revision}, from a member that lags behind ${after}`,
      { hint: 'Another is taken.', retryable: true },
    );
  }

  /** Tries until there is one, with growing pauses; what can't ever succeed ends a capture that has no chain yet. */
  private async untilTaken(take: () => Promise<BaseTaken>): Promise<BaseTaken> {
    const { baseDelayMs, settledSegments } = this.settings;
    if (this.storedSinceBase >= settledSegments) this.basesInARow = 0;
    for (;;) {
      await this.pause(baseDelayMs(this.basesInARow++));
      try {
        return await take();
      } catch (error) {
        this.signal.throwIfAborted();
        if (this.tail === undefined && !mayPass(error)) throw error;
        this.trouble('base', error, baseDelayMs(this.basesInARow));
      }
    }
  }

  private async store({ draft, firstAtMs }: SealedSegment): Promise<void> {
    this.settings.onEvent({ kind: 'storing', firstAtMs });
    for (let attempt = 0; ; attempt++) {
      const next = await this.toAppend(draft);
      if (next === undefined) {
        this.settings.onEvent({ kind: 'skipped' });
        return;
      }
      const { tail, draft: trimmed } = next;
      try {
        const { log, retainUntil } = this.settings;
        const next = await log.append(tail, trimmed, { signal: this.signal, retainUntil: retainUntil?.() });
        this.tail = next;
        this.gap = undefined;
        this.storedSinceBase++;
        if (next.last !== undefined)
          this.settings.onEvent({ kind: 'stored', tail: next, segment: next.last });
        return;
      } catch (error) {
        this.signal.throwIfAborted();
        if (error instanceof ChainTakenError) this.taken(error);
        else {
          if (!mayPass(error)) throw unstorable(draft, error);
          const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
          this.trouble('store', error, delayMs);
          await this.pause(delayMs);
        }
      }
    }
  }

  /** What of a draft is to be stored, and behind what; undefined when everything is there. */
  private async toAppend(draft: SegmentDraft): Promise<{ tail: ChainTail; draft: SegmentDraft } | undefined> {
    const { tail, gap } = this;
    if (tail === undefined) throw new Error('a segment came before the chain that it belongs to');
    if (draft.to <= tail.revision) return undefined;
    if (draft.from > tail.revision) {
      throw new CaptureBreak(
        'chain-unusable',
        `the chain ends at revision ${tail.revision}, and what was captured begins behind ${draft.from}`,
      );
    }
    // The first segment of a chain may begin before its base; any other is cut where the one before ends.
    const fits = draft.from === tail.revision || tail.index === 0;
    const whole = fits ? draft : await trimDraft(draft, tail.revision);
    if (tail.index > 0 || gap === undefined) return { tail, draft: whole };
    return { tail, draft: { ...whole, facts: { ...whole.facts, gap: gapFact(gap) } } };
  }

  private taken(error: ChainTakenError): void {
    const { winner } = error;
    if (winner === undefined) throw new CaptureBreak('chain-unusable', error.message, error);
    const { writer } = winner.head;
    if (writer.kind === 'capture' && writer.id !== this.settings.writerId) throw superseded(error, writer.id);
    this.tail = tailBehind(winner);
    this.settings.onEvent({ kind: 'adopted', tail: this.tail });
  }

  private trouble(of: 'store' | 'base', error: unknown, delayMs: number): void {
    this.settings.onEvent({ kind: 'trouble', of, error, delayMs });
  }

  private async pause(ms: number): Promise<void> {
    if (ms > 0) await delay(ms, undefined, { signal: this.signal });
  }
}

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 15_000;

/** Whether time, or someone who puts something right, can help: a store, etcd or key service that is away or refuses. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof GuardianError)) return false;
  return error.retryable || error.code.startsWith('store.') || error.code.startsWith('etcd.');
}

function unstorable({ from, to }: SegmentDraft, error: unknown): CaptureBreak {
  return new CaptureBreak(
    'unstorable',
    `what was captured between revisions ${from} and ${to} can't be stored: ${reasonOf(error)}`,
    error,
  );
}

function superseded(error: ChainTakenError, writer: bigint): GuardianError {
  return new GuardianError(
    'capture.superseded',
    `another capture, writer ${writer.toString(16).padStart(16, '0')}, extends the chain: this one steps down`,
    { hint: 'Run one capture of a cluster into one store; the other one goes on.', cause: error },
  );
}
