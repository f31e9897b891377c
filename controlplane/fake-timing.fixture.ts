import type { Timing } from './timing.ts';

/** Time that moves when a test says so. */
export interface FakeTiming extends Timing {
  /** Runs what is due on the way, in order, and what it starts by promises in between. */
  advance(ms: number): Promise<void>;
}

export function fakeTiming(): FakeTiming {
  let now = 0;
  let count = 0;
  const timers = new Map<number, { readonly dueMs: number; readonly run: () => void }>();
  const settle = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    nowMs: () => now,
    after(delayMs, run) {
      const id = (count += 1);
      timers.set(id, { dueMs: now + delayMs, run });
      return () => timers.delete(id);
    },
    async advance(ms) {
      const until = now + ms;
      for (;;) {
        await settle();
        const due = [...timers].filter(([, { dueMs }]) => dueMs <= until);
        const [next] = due.sort(([, a], [, b]) => a.dueMs - b.dueMs);
        if (next === undefined) break;
        const [id, { dueMs, run }] = next;
        timers.delete(id);
        now = dueMs;
        run();
      }
      now = until;
      await settle();
    },
  };
}
