/** A token bucket: so many a second in the long run, so many at once after a pause. Times are a monotonic clock's. */
export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /**
   * 0: taken. Else nothing was taken, and how long to wait before asking again. Who takes many at once gets them if there is
   * one, and leaves the rest as a debt that is waited off before the next.
   */
  take(nowMs: number, count = 1): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
    if (this.#tokens >= 1) {
      this.#tokens -= count;
      return 0;
    }
    return Math.ceil((1 - this.#tokens) / this.#perMs);
  }

  /** True when nothing was taken for so long that the limit has no memory left. */
  isFull(nowMs: number): boolean {
    return this.#tokens + Math.max(0, nowMs - this.#atMs) * this.#perMs >= this.#burst;
  }
}

/** One limit for each name; the quiet are forgotten, and when that leaves more than `most`, the oldest. */
export class RateLimits {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #most: number;
  readonly #limits = new Map<string, RateLimit>();

  constructor(perSecond: number, burst: number, most: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#most = most;
  }

  /** As `RateLimit.take`, from the limit of this name. */
  take(name: string, nowMs: number, count = 1): number {
    if (!this.#limits.has(name) && this.#limits.size >= this.#most) this.#forget(nowMs);
    const limit = this.#limits.get(name) ?? new RateLimit(this.#perSecond, this.#burst, nowMs);
    this.#limits.set(name, limit);
    return limit.take(nowMs, count);
  }

  #forget(nowMs: number): void {
    for (const [name, limit] of this.#limits) if (limit.isFull(nowMs)) this.#limits.delete(name);
    for (const name of this.#limits.keys()) {
      if (this.#limits.size < this.#most) break;
      this.#limits.delete(name);
    }
  }
}
