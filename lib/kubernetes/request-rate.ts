import { pause } from './pause.ts';

/** Lets calls pass, on average `perSecond` of them. */
export interface RequestRate {
  /** Resolves when the caller may go, in the order of asking. Rejects with the signal's reason. */
  take(signal?: AbortSignal): Promise<void>;
}

/** `burst` calls may go at once after a quiet time. `monotonic` in milliseconds. */
export function createRequestRate(
  { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
  monotonic: () => number = () => performance.now(),
): RequestRate {
  const everyMs = 1000 / perSecond;
  // When the bucket is full again: the only thing to remember.
  let fullAt = -Infinity;
  return {
    async take(signal) {
      signal?.throwIfAborted();
      const now = monotonic();
      fullAt = Math.max(fullAt, now) + everyMs;
      const waitMs = fullAt - now - burst * everyMs;
      // Whoever gives up while he waits leaves his turn unused: slower than allowed, never faster.
      if (waitMs > 0) await pause(waitMs, signal);
    },
  };
}
