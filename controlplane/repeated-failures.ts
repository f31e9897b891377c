const AGAIN_MS = 3_600_000;

/** What failed how often for the same cause, so that a log says it once and not at every try. */
export class RepeatedFailures {
  readonly #nowMs: () => number;
  readonly #seen = new Map<string, { cause: string; count: number; toldMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** How often `key` has failed for this cause; undefined: it was told within the hour. */
  count(key: string, cause: string): number | undefined {
    const before = this.#seen.get(key);
    const nowMs = this.#nowMs();
    if (before?.cause !== cause) {
      this.#seen.set(key, { cause, count: 1, toldMs: nowMs });
      return 1;
    }
    before.count += 1;
    if (nowMs - before.toldMs < AGAIN_MS) return undefined;
    before.toldMs = nowMs;
    return before.count;
  }

  /** True when it had failed before. */
  forget(key: string): boolean {
    return this.#seen.delete(key);
  }
}
