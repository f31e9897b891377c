import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../../lib/guardian-error.ts';
import { errorFields, errorText, type LogLines } from '../../lib/log-lines.ts';
import { backOffMs } from '../key-queue.ts';
import { RepeatedFailures } from '../repeated-failures.ts';
import type { AuthorityStore } from './authority-store.ts';
import type { CertificateKeeper } from './certificate-keeper.ts';

/** A rotation leaves a day for everybody to hear of it. */
const LOOK_MS = 30_000;

/**
 * Keeps this replica up to date about the authority, whether it leads or not; at the very first start any replica makes
 * it. Ends with the signal, never otherwise.
 */
export async function followAuthority(
  store: AuthorityStore,
  keeper: CertificateKeeper,
  log: LogLines,
  random: () => number,
  signal: AbortSignal,
): Promise<void> {
  const told = new RepeatedFailures(() => performance.now());
  let failures = 0;
  while (!isOver(signal)) {
    let pauseMs = LOOK_MS * (0.75 + random() / 2);
    try {
      // Where it is gone, the leader puts it back.
      const stored =
        keeper.bundle === undefined ? await store.open(undefined, signal) : await store.read(signal);
      if (stored !== undefined) keeper.learn(stored.bundle);
      told.forget('authority');
      failures = 0;
    } catch (error) {
      if (isOver(signal)) return;
      failures += 1;
      keeper.complain(reasonOf(error));
      if (told.count('authority', errorText(error)) !== undefined)
        log.write('error', 'authority', errorText(error), errorFields(error));
      pauseMs = backOffMs(failures, { retryMs: 500, longestRetryMs: LOOK_MS }, random);
    }
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}
