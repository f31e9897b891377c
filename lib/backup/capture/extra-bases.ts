import type { BaseTaken, TakeBase } from './ship-segments.ts';

export interface ExtraBasesSettings {
  readonly takeBase: TakeBase;
  readonly onEvent: (event: ExtraBaseEvent) => void;
  /** Between bases that follow one another, so that what isn't mended by them makes no tight loop of full backups. */
  readonly delayMs: (basesInARow: number) => number;
}

export type ExtraBaseEvent =
  | { readonly kind: 'extra-base'; readonly reason: string }
  | ({ readonly kind: 'extra-base-taken'; readonly reason: string } & BaseTaken)
  | { readonly kind: 'extra-base-failed'; readonly error: unknown; readonly delayMs: number };

/**
 * Bases taken under a running capture, for what segments can't give: they serve every base of the timeline, so capture
 * neither pauses nor begins another chain for one.
 */
export class ExtraBases {
  private readonly settings: ExtraBasesSettings;
  private readonly signal: AbortSignal;
  private inARow = 0;
  private notBeforeMs = -Infinity;
  private underWay = false;

  constructor(settings: ExtraBasesSettings, signal: AbortSignal) {
    this.settings = settings;
    this.signal = signal;
  }

  /** Takes one, unless the last was too short a time ago, or one is being taken. Resolves to whether there is a new one. */
  async take(reason: string): Promise<boolean> {
    if (this.underWay || performance.now() < this.notBeforeMs) return false;
    this.underWay = true;
    const { takeBase, onEvent, delayMs } = this.settings;
    onEvent({ kind: 'extra-base', reason });
    const wait = delayMs(++this.inARow);
    try {
      const base = await takeBase(this.signal, reason.slice(0, LONGEST_REASON));
      onEvent({ kind: 'extra-base-taken', reason, ...base });
      return true;
    } catch (error) {
      if (!this.signal.aborted) onEvent({ kind: 'extra-base-failed', error, delayMs: wait });
      return false;
    } finally {
      this.underWay = false;
      this.notBeforeMs = performance.now() + wait;
    }
  }

  /** Nothing needs one: when the pause is over, the next one counts as the first. */
  settled(): void {
    if (performance.now() >= this.notBeforeMs) this.inARow = 0;
  }
}

/** Characters; what a manifest takes. */
const LONGEST_REASON = 1024;

/** After the first 5 minutes, then 10, 20 … up to six hours. */
export function extraBaseDelayMs(basesInARow: number): number {
  return Math.min(6 * 3_600_000, 300_000 * 2 ** (basesInARow - 1));
}
