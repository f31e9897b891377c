import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { LogLines } from '../lib/log-lines.ts';
import { credentialFolder, type CredentialSource } from '../lib/pki/credential-folder.ts';
import { peerIdentity, requirePeer } from '../lib/pki/peer-identity.ts';
import { keepEnrolled } from './enrol/keep-enrolled.ts';
import type { AgentSettings } from './settings.ts';

export interface OwnCredentials extends AsyncDisposable {
  readonly credentials: CredentialSource;
}

/**
 * Who this agent is: from a folder that someone else keeps, or by enrolment, which is waited for. Rejects with
 * `pki.credentials` and its kin, with `pki.node` and `pki.role` for another one's, and with the signal's reason.
 */
export async function ownCredentials(
  settings: AgentSettings,
  { clock, log, signal }: { readonly clock: Clock; readonly log: LogLines; readonly signal: AbortSignal },
): Promise<OwnCredentials> {
  const { credentialsDir, node, stateDir, enrolUrl, tokenFile, trustFile } = settings;
  if (credentialsDir === undefined) {
    return keepEnrolled(
      { ...{ node, tokenFile, trustFile }, url: enrolUrl, credentialsDir: join(stateDir, 'credentials') },
      { clock, log },
      signal,
    );
  }
  const credentials = credentialFolder(credentialsDir);
  const identity = peerIdentity((await credentials.current()).certificate);
  requirePeer(identity, { cluster: identity.cluster, roles: ['agent'], node });
  return { credentials, [Symbol.asyncDispose]: () => Promise.resolve() };
}
