import { setTimeout as delay } from 'node:timers/promises';

/** Resolves after so long; rejects with the signal's own reason, where Node's timers have an error of theirs. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
