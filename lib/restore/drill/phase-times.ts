/**
 * What a drill spends its time on, in this order. `fetch` reads, decrypts, decompresses, judges and writes in one pass;
 * `verify` is what is left to do then.
 */
export const PHASES = ['find', 'fetch', 'merge', 'verify', 'start', 'api-server', 'checks'] as const;
export type Phase = (typeof PHASES)[number];

/** A stopwatch for phases that follow one another; one may come again. */
export class PhaseTimes {
  readonly #now: () => number;
  readonly #seconds = new Map<Phase, number>();
  #current: Phase | undefined;
  #since = 0;

  /** `now`: milliseconds of a clock that never steps. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The phase that runs. */
  get current(): Phase | undefined {
    return this.#current;
  }

  begin(phase: Phase): void {
    if (phase === this.#current) return;
    this.end();
    this.#current = phase;
  }

  end(): void {
    const now = this.#now();
    if (this.#current !== undefined) {
      const before = this.#seconds.get(this.#current) ?? 0;
      this.#seconds.set(this.#current, before + (now - this.#since) / 1000);
    }
    this.#current = undefined;
    this.#since = now;
  }

  /** Seconds of every phase that there was; of none that didn't come. */
  seconds(): Partial<Record<Phase, number>> {
    const seconds: Partial<Record<Phase, number>> = {};
    for (const phase of PHASES) {
      const value = this.#seconds.get(phase);
      if (value !== undefined) seconds[phase] = Math.round(value * 1000) / 1000;
    }
    return seconds;
  }
}
