import { setTimeout as delay } from 'node:timers/promises';

/** How long anything that the harness waits for may take. Generous: a loaded machine is no failed test. */
export const DEADLINE_MS = 180_000;

/**
 * Asks until the answer is neither `undefined` nor `false`, and resolves to it. What `ask` throws counts as
 * "not yet"; past the deadline the rejection names `what` and the last throw. For conditions that no event
 * announces; where one does, wait for the event.
 */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  deadlineMs: number = DEADLINE_MS,
): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + deadlineMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.5, 100)) {
    let cause: unknown;
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause });
    await delay(pauseMs);
  }
}
