import { readDocument } from './document.ts';
import { namespaceManifestName, namespacePartName } from './layout.ts';
import { misplaced } from './misplaced.ts';
import { type NamespaceManifest, namespaceManifestDocument } from './namespace-manifest.ts';
import type { BackupPlace, RepositorySettings } from './repository.ts';

/** Also checks that it is of this place, and speaks of nothing outside its own folder. */
export async function readNamespaceManifest(
  { store, verifier }: RepositorySettings,
  place: BackupPlace,
  signal: AbortSignal | undefined,
): Promise<{ readonly value: NamespaceManifest; readonly sha256: string }> {
  const itsName = namespaceManifestName(place);
  const document = await readDocument(store, namespaceManifestDocument, itsName, verifier, signal);
  const { cluster, timeline, id, parts } = document.value;
  const itself = namespaceManifestName({ cluster, timeline, id });
  if (itself !== itsName) throw misplaced(itsName, itself);
  for (const { kind, name: partName, recipients } of parts) {
    if (partName !== namespacePartName(place, kind, recipients.length > 0))
      throw misplaced(itsName, partName);
  }
  const [one, other] = parts;
  if (one?.kind === other?.kind && one !== undefined) throw misplaced(itsName, one.name);
  return document;
}
