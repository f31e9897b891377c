import { setTimeout as pause } from 'node:timers/promises';

/** How time passes for whoever waits; passed in, so that a simulation decides. */
export interface Waiting {
  /** Milliseconds since some moment; never steps. */
  nowMs(): number;
  /** Resolves after so long, and at once when the signal aborts. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

export const realWaiting: Waiting = {
  nowMs: () => performance.now(),
  pause: (ms, signal) => pause(ms, undefined, { signal }).catch(() => undefined),
};
