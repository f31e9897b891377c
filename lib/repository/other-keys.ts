import { GuardianError } from '../guardian-error.ts';
import type { Manifest } from './manifest.ts';
import { findBackup } from './list-backups.ts';
import type { RepositorySettings, SoundBackup } from './repository.ts';
import { listTimelines } from './timelines.ts';

/**
 * For a cluster without any timeline that the given keys vouch for. Rejects with `repository.other-keys` where others signed
 * its backups: what is written now could never be listed or restored beside them. What nobody signed is no reason:
 * encryption may begin any day.
 */
export async function requireKnownSigner(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (settings.requiresSameKeys !== true) return;
  const timelines = await listTimelines(settings, cluster, signal);
  if (timelines.some(({ state }) => state === 'sound')) return;
  const foreign = timelines.flatMap((entry) => (entry.state === 'damaged' ? [entry.problem] : []));
  const problem = foreign.find(({ code }) => code === 'signature.untrusted');
  if (problem === undefined) return;
  throw otherKeys(
    `the backups of cluster ${cluster} in ${settings.store.location} belong to other keys than the given ones: ${problem.message}`,
    problem,
  );
}

/** Rejects with `repository.other-keys` where a backup in the clear would follow encrypted ones. */
export async function requireEncryption(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (settings.requiresSameKeys !== true || settings.encryption !== undefined) return;
  const latest = await latestOf(settings, cluster, signal);
  requireEncryptionStays(settings, cluster, latest?.manifest.base);
}

/** Of whatever timeline; undefined where there is none that can be read. */
async function latestOf(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<SoundBackup | undefined> {
  try {
    return (await findBackup(settings, cluster, 'latest', { signal })).backup;
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    return undefined;
  }
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
