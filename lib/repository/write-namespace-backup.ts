import { GuardianError } from '../guardian-error.ts';
import { newBackupId } from './backup-id.ts';
import { chooseTimeline, type KnownTimeline } from './choose-timeline.ts';
import { COMPRESSION } from './compress-frames.ts';
import { decodeDocument, encodeDocument, FORMAT_VERSION } from './document.ts';
import { recordHighWater } from './high-water.ts';
import { namespaceManifestName, namespacePartName } from './layout.ts';
import { misplaced } from './misplaced.ts';
import type {
  NamespaceBackupWriter,
  NamespaceFacts,
  PutElsewhere,
  SoundNamespaceBackup,
} from './namespace-backups.ts';
import { namespaceManifestDocument, type NamespacePart } from './namespace-manifest.ts';
import type { BackupPlace, BackupRequest, CallOptions, RepositorySettings } from './repository.ts';
import { COMMIT_WITHIN_MS } from './sweep.ts';

/** See `NamespaceBackups.begin`. */
export async function beginNamespaceBackup(
  settings: RepositorySettings,
  request: BackupRequest,
  signal: AbortSignal | undefined,
): Promise<NamespaceBackupWriter> {
  const { known } = await chooseTimeline(settings, request, signal);
  return new Writer(settings, request, known);
}

/** See `NamespaceBackups.describePart`. Throws `repository.misplaced` for a part of another place. */
export function describePart(
  { encryption }: RepositorySettings,
  place: BackupPlace,
  { name, ...put }: PutElsewhere,
): NamespacePart {
  const recipients = (encryption?.recipients ?? []).map(({ id, kind }) => ({ id, kind }));
  const itself = namespacePartName(place, put.kind, recipients.length > 0);
  if (name !== itself) throw misplaced(name, itself);
  return { ...put, name, compression: { ...COMPRESSION }, recipients };
}

class Writer implements NamespaceBackupWriter {
  readonly id: string;
  readonly cluster: string;
  readonly timeline: string;
  readonly warnings: readonly GuardianError[];
  readonly #settings: RepositorySettings;
  readonly #request: BackupRequest;
  readonly #createdAt: Date;

  constructor(settings: RepositorySettings, request: BackupRequest, known: KnownTimeline) {
    this.#settings = settings;
    this.#request = request;
    this.#createdAt = settings.clock();
    this.id = newBackupId(this.#createdAt, settings.randomBytes);
    this.cluster = request.cluster;
    this.timeline = known.timeline;
    this.warnings = known.warnings;
  }

  async commit(facts: NamespaceFacts, { signal }: CallOptions = {}): Promise<SoundNamespaceBackup> {
    const { store, signer, verifier, clock, tool } = this.#settings;
    const { cluster, timeline, id } = this;
    const name = namespaceManifestName(this);
    const { etcdClusterId, retainUntil } = this.#request;
    const { revision, readAt, namespaces, resources, omitted, parts, requester, labels } = facts;
    const place = { id, cluster, timeline };
    const times = { createdAt: this.#createdAt, completedAt: clock() };
    const bytes = encodeDocument(
      namespaceManifestDocument,
      {
        formatVersion: FORMAT_VERSION,
        ...{ ...place, ...times, tool, etcd: { clusterId: etcdClusterId } },
        ...{ revision, readAt, namespaces, resources, omitted, parts, requester, labels, retainUntil },
      },
      signer,
    );
    // What couldn't be read back, or isn't signed by whom we trust, must not be written.
    const { value: manifest, sha256 } = decodeDocument(namespaceManifestDocument, bytes, name, verifier);
    await this.#lookAt(parts, signal);
    await recordHighWater(this.#settings, cluster, timeline, revision, signal);
    await store.putIfAbsent(name, bytes, { signal, retainUntil });
    const nothingRemoved = { removal: undefined, lastMark: 0, warnings: [] };
    return { state: 'sound', ...place, manifest, manifestSha256: sha256, ...nothingRemoved };
  }

  /** Once more: a sweep by a wrong clock must not make a manifest without data. */
  async #lookAt(parts: readonly NamespacePart[], signal: AbortSignal | undefined): Promise<void> {
    if (this.#settings.clock().getTime() - this.#createdAt.getTime() > COMMIT_WITHIN_MS) {
      throw new GuardianError(
        'repository.too-late',
        `backup ${this.id} was left uncommitted until a sweep may delete it`,
        { hint: 'Begin the backup again.', retryable: true },
      );
    }
    for (const { name, storedSize } of parts) {
      const { size } = await this.#settings.store.stat(name, { signal });
      if (size === storedSize) continue;
      throw new GuardianError('store.corrupt', `${name} has ${size} bytes in the store, not ${storedSize}`);
    }
  }
}
