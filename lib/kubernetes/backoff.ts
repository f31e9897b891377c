import { pause } from './pause.ts';

export interface Backoff {
  /** Resolves after a pause, longer each time. Rejects with the signal's reason. */
  pause(signal: AbortSignal): Promise<void>;
  /** All is well: the next pause is the shortest again. */
  reset(): void;
}

export interface BackoffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
  readonly random: () => number;
}

/** Doubles from `firstMs` to `longestMs`, each time between a half and the whole of it, so that not all come at once. */
export function createBackoff({ firstMs, longestMs, random }: BackoffOptions): Backoff {
  let nextMs = firstMs;
  return {
    async pause(signal) {
      const pauseMs = nextMs * (0.5 + 0.5 * random());
      nextMs = Math.min(nextMs * 2, longestMs);
      await pause(pauseMs, signal);
    },
    reset() {
      nextMs = firstMs;
    },
  };
}
