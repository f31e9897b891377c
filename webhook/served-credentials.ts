import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Credentials } from '../lib/pki/credentials.ts';
import type { CredentialSource } from '../lib/pki/credential-folder.ts';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import { errorFields, errorText, type LogLines } from '../lib/log-lines.ts';

/** What to serve with. */
export interface Served {
  readonly credentials: Credentials;
  /** From whom clients need a certificate; undefined: they need none. */
  readonly clientCA: string | undefined;
}

export interface ServedSource {
  readonly folder: CredentialSource;
  /** A file. */
  readonly clientCA: string | undefined;
}

/** kubelet swaps mounted Secrets behind our back, and tells nobody. */
const LOOK_MS = 5_000;

/**
 * The certificate to serve, and again each time that it or whom to let in changes; until there is one it waits, since the
 * control plane may be about to make it. What was good before stays until there is something good. Ends when the signal
 * aborts.
 */
export async function* servedCredentials(
  { folder, clientCA }: ServedSource,
  log: LogLines,
  signal: AbortSignal,
  lookMs = LOOK_MS,
): AsyncGenerator<Served> {
  let served: Served | undefined;
  let told: string | undefined;
  const look = async (): Promise<Served | undefined> => {
    try {
      const now = {
        credentials: await folder.current(),
        clientCA: clientCA === undefined ? undefined : await readAuthority(clientCA),
      };
      tell(folder.complaint, {});
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
  const fresh = async function* (): AsyncGenerator<Served> {
    const now = await look();
    if (now === undefined) return;
    if (now.credentials === served?.credentials && now.clientCA === served.clientCA) return;
    served = now;
    yield now;
  };
  while (!signal.aborted) {
    yield* fresh();
    await delay(lookMs, undefined, { signal }).catch(() => undefined);
  }
}

/** An empty or damaged file must not mean that everybody is let in, nor that nobody is. */
async function readAuthority(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8');
    new X509Certificate(text);
    return text;
  } catch (error) {
    throw new GuardianError(
      'admission.client-ca',
      `${path} holds no certificate authority: ${reasonOf(error)}`,
      { hint: 'Put its certificate there, as PEM (webhook.clientCA in the chart).', cause: error },
    );
  }
}
