import type { SegmentDraft } from '../../repository/chain.ts';
import type { SealedSegment } from './sealer.ts';
import type { Spill, Spilled } from './spill.ts';

export interface SegmentQueueSettings {
  /** Of segments, before the newest are put on disk. */
  readonly memoryBytes: number;
  /** Undefined: nothing is put on disk. */
  readonly spill: Spill | undefined;
  /** The disk can't be written: from then on there is only memory. Told once. */
  readonly onSpillFailed?: ((error: unknown) => void) | undefined;
}

/** What waits: segments, and words between them from whoever watches to whoever stores. */
export type Queued<Word> =
  ({ readonly kind: 'segment' } & SealedSegment) | { readonly kind: 'word'; readonly word: Word };

/**
 * Sealed segments on their way into a store that may be slow or away: in memory, then on disk, up to a limit. One that
 * puts in, one that takes out.
 */
export class SegmentQueue<Word> {
  private readonly settings: SegmentQueueSettings;
  private readonly held: Held<Word>[] = [];
  private memory = 0;
  private spillFailed = false;
  private ended = false;
  private changed = Promise.withResolvers<undefined>();

  constructor(settings: SegmentQueueSettings) {
    this.settings = settings;
  }

  /** Segments that wait, with their bytes in memory and on disk. */
  waiting(): { readonly segments: number; readonly bytes: number; readonly spilledBytes: number } {
    const segments = this.held.reduce((count, { kind }) => count + Number(kind === 'segment'), 0);
    const spilledBytes = this.settings.spill?.bytes ?? 0;
    return { segments, bytes: this.memory + spilledBytes, spilledBytes };
  }

  /** Of the oldest one that waits, as in `SealedSegment`; undefined when none does. */
  get oldestAtMs(): number | undefined {
    return this.held.find((held) => held.kind === 'segment')?.firstAtMs;
  }

  say(word: Word): void {
    this.held.push({ kind: 'word', word });
    this.wake();
  }

  /** False when there is no room left for it: what waits can only be given up. */
  async put(segment: SealedSegment): Promise<boolean> {
    const { draft, firstAtMs } = segment;
    const bytes = bytesOf(draft);
    if (this.memory === 0 || this.memory + bytes <= this.settings.memoryBytes) {
      this.memory += bytes;
      this.held.push({ kind: 'segment', ...segment, bytes });
      this.wake();
      return true;
    }
    const spilled = await this.spillOver(draft);
    if (spilled === undefined) return false;
    const { frames, ...rest } = draft;
    this.held.push({ kind: 'segment', firstAtMs, spilled, rest, sizes: frames.map(({ length }) => length) });
    this.wake();
    return true;
  }

  /** What waits longest; undefined at the end. Rejects with `spool.corrupt` and the like when the disk fails. */
  async take(signal: AbortSignal): Promise<Queued<Word> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      const next = this.held.shift();
      if (next !== undefined) return this.load(next);
      if (this.ended) return undefined;
      await this.changed.promise;
    }
  }

  /** Wakes one that waits in `take`, so that it looks at its signal. */
  wake(): void {
    this.changed.resolve(undefined);
    this.changed = Promise.withResolvers();
  }

  /** Gives up what waits. Resolves to how many segments that was. */
  async clear(): Promise<number> {
    const dropped = this.held.splice(0);
    this.memory = 0;
    for (const held of dropped) if (held.kind === 'segment' && 'spilled' in held) await held.spilled.drop();
    return dropped.filter(({ kind }) => kind === 'segment').length;
  }

  /** Nothing more comes. */
  end(): void {
    this.ended = true;
    this.wake();
  }

  private async load(held: Held<Word>): Promise<Queued<Word>> {
    if (held.kind === 'word') return held;
    const { kind, firstAtMs } = held;
    if ('draft' in held) {
      this.memory -= held.bytes;
      return { kind, firstAtMs, draft: held.draft };
    }
    const bytes = await held.spilled.read();
    let at = 0;
    const frames = held.sizes.map((size) => bytes.subarray(at, (at += size)));
    return { kind, firstAtMs, draft: { ...held.rest, frames } };
  }

  private async spillOver({ frames }: SegmentDraft): Promise<Spilled | undefined> {
    const { spill, onSpillFailed } = this.settings;
    if (spill === undefined || this.spillFailed) return undefined;
    try {
      return await spill.keep(Buffer.concat(frames));
    } catch (error) {
      this.spillFailed = true;
      onSpillFailed?.(error);
      return undefined;
    }
  }
}

type Held<Word> =
  | { readonly kind: 'word'; readonly word: Word }
  | ({ readonly kind: 'segment'; readonly bytes: number } & SealedSegment)
  | {
      readonly kind: 'segment';
      readonly firstAtMs: number;
      readonly spilled: Spilled;
      readonly rest: Omit<SegmentDraft, 'frames'>;
      readonly sizes: readonly number[];
    };

/** What it costs in memory: its frames, and about so much for its facts. */
function bytesOf({ frames, facts }: SegmentDraft): number {
  const { batches, times, leases } = facts;
  const entries = batches.length + times.length + leases.granted.length + leases.gone.length;
  return frames.reduce((sum, { length }) => sum + length, 128 * entries + 1024);
}
