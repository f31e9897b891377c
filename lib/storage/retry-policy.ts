import { setTimeout as delay } from 'node:timers/promises';
import { GuardianError } from '../guardian-error.ts';

/** How failed calls to a store are repeated. Only errors that say `retryable` are. */
export interface RetryPolicy {
  /** Calls in all, the first one included. */
  readonly attempts: number;
  /** Before the n-th repetition waits a random time up to `firstDelayMs` × 2^(n-1) ("full jitter")… */
  readonly firstDelayMs: number;
  /** … which is never longer than this. */
  readonly longestDelayMs: number;
  /** No repetition begins later than this after the first call. */
  readonly budgetMs: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Resolves after `ms`; rejects when `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly onRetry?: ((retry: Retry) => void) | undefined;
}

/** Told before each wait, for a log line or a progress display. */
export interface Retry {
  /** What was tried, e.g. `reading object a/b in s3://bucket`. */
  readonly what: string;
  readonly error: GuardianError;
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
}

/** Rides out some seconds of trouble: a wrong endpoint is still told soon. */
export const callRetries: RetryPolicy = {
  attempts: 6,
  firstDelayMs: 250,
  longestDelayMs: 8_000,
  budgetMs: 60_000,
  random: Math.random,
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  },
};

/** For the parts of an upload under way, where giving up costs all that was sent: rides out minutes. */
export const partRetries: RetryPolicy = {
  ...callRetries,
  attempts: 20,
  longestDelayMs: 30_000,
  budgetMs: 300_000,
};

/**
 * Runs `call` until it resolves, fails for good, or the policy is exhausted; that last error then says how often it
 * was tried. Rejects with the signal's reason when that aborts.
 */
export async function withRetries<T>(
  policy: RetryPolicy,
  what: string,
  call: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const retries = new Retries(policy, what, signal);
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      await retries.after(error);
    }
  }
}

/** The allowance of one operation, for loops that are more than a call. */
export class Retries {
  readonly #policy: RetryPolicy;
  readonly #what: string;
  readonly #signal: AbortSignal | undefined;
  #failures = 0;
  #begun: number;

  constructor(policy: RetryPolicy, what: string, signal: AbortSignal | undefined) {
    this.#policy = policy;
    this.#what = what;
    this.#signal = signal;
    this.#begun = policy.now();
  }

  /** It got further: what fails next begins with a whole allowance. */
  renew(): void {
    this.#failures = 0;
    this.#begun = this.#policy.now();
  }

  /** Waits before the next attempt; rejects, with `error` or the signal's reason, when there is to be none. */
  async after(error: unknown): Promise<void> {
    this.#signal?.throwIfAborted();
    if (!isRetryable(error)) throw error;
    const { random, attempts, firstDelayMs, longestDelayMs, budgetMs, onRetry } = this.#policy;
    const delayMs = random() * Math.min(longestDelayMs, firstDelayMs * 2 ** this.#failures);
    this.#failures += 1;
    const elapsedMs = this.#policy.now() - this.#begun;
    if (this.#failures >= attempts || elapsedMs + delayMs > budgetMs) {
      throw exhausted(error, this.#failures, elapsedMs);
    }
    onRetry?.({ what: this.#what, error, attempt: this.#failures, delayMs });
    try {
      await this.#policy.sleep(delayMs, this.#signal);
    } catch (interruption) {
      this.#signal?.throwIfAborted();
      throw interruption;
    }
  }
}

export function isRetryable(error: unknown): error is GuardianError {
  return error instanceof GuardianError && error.retryable;
}

function exhausted(error: GuardianError, attempts: number, elapsedMs: number): GuardianError {
  if (attempts === 1) return error;
  const message = `${error.message} (tried ${attempts} times in ${Math.round(elapsedMs / 1000)} s)`;
  const { code, hint, retryable } = error;
  return new GuardianError(code, message, {
    cause: error,
    retryable,
    ...(hint === undefined ? {} : { hint }),
  });
}
