import { GuardianError } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import { readDocument } from './document.ts';
import { baseName, manifestName, parseName } from './layout.ts';
import { type Manifest, manifestDocument } from './manifest.ts';
import { misplaced } from './misplaced.ts';
import { readRemoval } from './removals.ts';
import type { BackupEntry, BackupPlace, RepositorySettings } from './repository.ts';

/** A backup's entry in a list, whatever state it is in. Rejects only when the store can't be read at the moment. */
export async function readBackup(
  settings: RepositorySettings,
  place: BackupPlace,
  marks: readonly StoredObject[],
  signal: AbortSignal | undefined,
): Promise<BackupEntry> {
  const { removal, problems: warnings, last: lastMark } = await readRemoval(settings, marks, signal);
  const { cluster, timeline, id } = place;
  const common = { cluster, timeline, id, removal, lastMark, warnings };
  try {
    const { value: manifest, sha256 } = await readManifest(settings, place, signal);
    return { state: 'sound', ...common, manifest, manifestSha256: sha256 };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    return { state: 'damaged', ...common, problem: error };
  }
}

/** Also checks that the manifest is that of this place, and that it speaks of nothing outside its own chain. */
export async function readManifest(
  { store, verifier }: RepositorySettings,
  place: BackupPlace,
  signal: AbortSignal | undefined,
): Promise<{ readonly value: Manifest; readonly sha256: string }> {
  const name = manifestName(place);
  const document = await readDocument(store, manifestDocument, name, verifier, signal);
  const { cluster, timeline, id, base, attachments } = document.value;
  const itself = manifestName({ cluster, timeline, id });
  if (itself !== name) throw misplaced(name, itself);
  if (base.name !== baseName(place, base.recipients.length > 0)) throw misplaced(name, base.name);
  for (const attachment of attachments) {
    const named = parseName(attachment.name);
    if (named?.kind !== 'content' || manifestName(named.place) !== name)
      throw misplaced(name, attachment.name);
  }
  return document;
}
