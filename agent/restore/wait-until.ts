import { setTimeout as pause } from 'node:timers/promises';
import type { Deadline } from './node-service.ts';

/** Looks again and again until it holds; false when the deadline has passed. Nothing tells when a process ends. */
export async function waitUntil(
  holds: () => Promise<boolean>,
  deadline: Deadline,
  everyMs = 100,
): Promise<boolean> {
  for (;;) {
    if (await holds()) return true;
    const leftMs = deadline.leftMs();
    if (leftMs <= 0) return false;
    await pause(Math.min(everyMs, leftMs), undefined, { signal: deadline.signal }).catch(() => undefined);
  }
}

/** The same, and it must go on to hold for so long. */
export async function waitUntilSteady(
  holds: () => Promise<boolean>,
  steadyMs: number,
  deadline: Deadline,
  everyMs = 100,
): Promise<boolean> {
  let since: number | undefined;
  return await waitUntil(
    async () => {
      if (!(await holds())) {
        since = undefined;
        return false;
      }
      since ??= performance.now();
      return performance.now() - since >= steadyMs;
    },
    deadline,
    everyMs,
  );
}

/** The same deadline, or `ms` from now where that is earlier. */
export function within(deadline: Deadline, ms: number): Deadline {
  const end = performance.now() + ms;
  return {
    signal: deadline.signal,
    leftMs: () => Math.min(deadline.leftMs(), Math.max(0, end - performance.now())),
  };
}
