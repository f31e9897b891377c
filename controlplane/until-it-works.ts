import { setTimeout as delay } from 'node:timers/promises';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';
import { backOffMs } from './key-queue.ts';
import { RepeatedFailures } from './repeated-failures.ts';

/**
 * What `attempt` resolves to, tried until it does; what is in the way is told once. Resolves to undefined when the signal
 * aborts first. For what a process can't start without, and needn't end for.
 */
export async function untilItWorks<T>(
  what: string,
  { log, random }: { readonly log: LogLines; readonly random: () => number },
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T | undefined> {
  const told = new RepeatedFailures(() => performance.now());
  const isOver = (): boolean => signal.aborted;
  for (let failures = 1; !isOver(); failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isOver() && told.count(what, errorText(error)) !== undefined)
        log.write('warning', 'waiting', `waiting for ${what}: ${errorText(error)}`, errorFields(error));
    }
    const pauseMs = backOffMs(failures, { retryMs: 500, longestRetryMs: 15_000 }, random);
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}
