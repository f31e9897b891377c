import { GuardianError } from '../guardian-error.ts';
import type { Manifest } from './manifest.ts';
import type { RepositorySettings, TimelineEntry } from './repository.ts';

/**
 * Throws `repository.other-keys` where a cluster has backups that others signed, and none that these keys vouch for: what
 * is written now could never be listed or restored beside them. What nobody signed is no reason: encryption may begin
 * any day.
 */
export function requireKnownSigner(
  settings: Pick<RepositorySettings, 'requiresSameKeys' | 'store' | 'verifier'>,
  cluster: string,
  timelines: readonly TimelineEntry[],
): void {
  if (settings.requiresSameKeys !== true || timelines.some(({ state }) => state === 'sound')) return;
  const foreign = timelines.flatMap((entry) => (entry.state === 'damaged' ? [entry.problem] : []));
  const problem = foreign.find(({ code }) => code === 'signature.untrusted');
  if (problem === undefined) return;
  throw otherKeys(
    `the backups of cluster ${cluster} in ${settings.store.location} belong to other keys than the given ones: ${problem.message}`,
    problem,
  );
}

/** Throws `repository.other-keys` where what is to be written in the clear would follow what is encrypted. */
export function requireEncryptionStays(
  settings: Pick<RepositorySettings, 'requiresSameKeys' | 'store' | 'encryption'>,
  cluster: string,
  newest: Pick<Manifest['base'], 'recipients'> | undefined,
): void {
  if (settings.requiresSameKeys !== true || settings.encryption !== undefined) return;
  if (newest === undefined || newest.recipients.length === 0) return;
  throw otherKeys(
    `the backups of cluster ${cluster} in ${settings.store.location} are encrypted, and no key was given: this one would lie there in the clear`,
  );
}

function otherKeys(message: string, cause?: unknown): GuardianError {
  return new GuardianError('repository.other-keys', message, {
    hint: 'Give the keys of these backups; after "etcdguardian keys rotate" the new file holds the old ones, too. If they are lost, or it is meant so: another prefix of the store, or --new-keys of "backup create" and "capture run".',
    cause,
  });
}
