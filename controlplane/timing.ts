/** A clock that never steps, and its timers; passed in, so that tests decide what time it is. */
export interface Timing {
  /** Milliseconds since some moment. */
  nowMs(): number;
  /** Runs `run` after so long, at most 2^31 - 1; what comes back cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemTiming: Timing = {
  nowMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
};
