import { setTimeout as delay } from 'node:timers/promises';
import type { Credentials } from '../lib/pki/credentials.ts';
import type { CredentialSource } from '../lib/pki/credential-folder.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';

/** kubelet swaps mounted Secrets behind our back, and tells nobody. */
const LOOK_MS = 5_000;

/**
 * The certificate to serve, and again each time that it changes; until there is one it waits, since the control plane may
 * be about to make it. Ends when the signal aborts.
 */
export async function* servedCredentials(
  source: CredentialSource,
  log: LogLines,
  signal: AbortSignal,
  lookMs = LOOK_MS,
): AsyncGenerator<Credentials> {
  let served: Credentials | undefined;
  let told: string | undefined;
  const look = async (): Promise<Credentials | undefined> => {
    try {
      const now = await source.current();
      tell(source.complaint, {});
      return now;
    } catch (error) {
      tell(errorText(error), errorFields(error));
      return undefined;
    }
  };
  const tell = (complaint: string | undefined, fields: object): void => {
    if (complaint !== undefined && complaint !== told)
      log.write('warning', 'certificate', `the webhook's certificate: ${complaint}`, { ...fields });
    told = complaint;
  };
  const fresh = async function* (): AsyncGenerator<Credentials> {
    const now = await look();
    if (now === undefined || now === served) return;
    served = now;
    yield now;
  };
  while (!signal.aborted) {
    yield* fresh();
    await delay(lookMs, undefined, { signal }).catch(() => undefined);
  }
}
