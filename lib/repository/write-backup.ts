import { GuardianError } from '../guardian-error.ts';
import { newBackupId } from './backup-id.ts';
import { chooseTimeline, type KnownTimeline } from './choose-timeline.ts';
import { putContent } from './content.ts';
import { decodeDocument, encodeDocument, FORMAT_VERSION } from './document.ts';
import { recordHighWater } from './high-water.ts';
import { attachmentName, baseName, manifestName } from './layout.ts';
import {
  type Anchor,
  type BackupFacts,
  type Manifest,
  manifestDocument,
  type StoredContent,
} from './manifest.ts';
import { contradictedAnchor, type TimelineReason } from './pick-timeline.ts';
import type {
  BackupRequest,
  BackupWriter,
  CallOptions,
  CommitOptions,
  RepositorySettings,
  SnapshotHistory,
  SoundBackup,
} from './repository.ts';
import { COMMIT_WITHIN_MS } from './sweep.ts';
import { beginTimelineAfter } from './timelines.ts';

/** See `Repository.beginBackup`. */
export async function beginBackup(
  settings: RepositorySettings,
  request: BackupRequest,
  { signal }: CallOptions = {},
): Promise<BackupWriter> {
  const { known, reason } = await chooseTimeline(settings, request, signal);
  return new Writer(settings, request, known, reason);
}

const NOT_REMOVED = { removal: undefined, lastMark: 0, warnings: [] } as const;

class Writer implements BackupWriter {
  readonly id: string;
  readonly cluster: string;
  readonly timeline: string;
  readonly timelineReason: TimelineReason | undefined;
  readonly warnings: readonly GuardianError[];
  readonly #settings: RepositorySettings;
  readonly #request: BackupRequest;
  readonly #known: KnownTimeline;
  readonly #createdAt: Date;
  readonly #attachments: StoredContent[] = [];
  #base: StoredContent | undefined;
  #lastPutAt: Date;
  /** From then on a manifest may be there, whatever we were told. */
  #commitTried = false;

  constructor(
    settings: RepositorySettings,
    request: BackupRequest,
    known: KnownTimeline,
    timelineReason: TimelineReason | undefined,
  ) {
    this.#settings = settings;
    this.#request = request;
    this.#known = known;
    this.#createdAt = settings.clock();
    this.#lastPutAt = this.#createdAt;
    this.id = newBackupId(this.#createdAt, settings.randomBytes);
    this.cluster = request.cluster;
    this.timeline = known.timeline;
    this.timelineReason = timelineReason;
    this.warnings = known.warnings;
  }

  async putBase(plain: AsyncIterable<Uint8Array>, options: CallOptions = {}): Promise<StoredContent> {
    const sealed = this.#settings.encryption !== undefined;
    this.#base = await this.#put(baseName(this, sealed), plain, options);
    return this.#base;
  }

  async putAttachment(
    name: string,
    plain: AsyncIterable<Uint8Array>,
    options: CallOptions = {},
  ): Promise<StoredContent> {
    if (this.#settings.encryption === undefined) {
      throw new GuardianError(
        'repository.attachment-plaintext',
        `attachment ${name} would be stored unencrypted`,
        {
          hint: 'Attachments hold keys and certificates: configure an encryption key, or leave them out.',
        },
      );
    }
    const attachment = await this.#put(attachmentName(this, name), plain, options);
    this.#attachments.push(attachment);
    return attachment;
  }

  async commit(
    facts: BackupFacts,
    history: SnapshotHistory,
    { signal, onWriting }: CommitOptions = {},
  ): Promise<SoundBackup> {
    const { store, signer, verifier } = this.#settings;
    const { cluster, timeline, id } = this;
    const name = manifestName(this);
    const bytes = encodeDocument(
      manifestDocument,
      this.#manifest(facts, await this.#storedBase(signal)),
      signer,
    );
    // What couldn't be read back, or isn't signed by whom we trust, must not be written.
    const { value: manifest, sha256 } = decodeDocument(manifestDocument, bytes, name, verifier);
    await this.#checkHistory(history, signal);
    await recordHighWater(this.#settings, cluster, timeline, facts.snapshot.currentRevision, signal);
    this.#commitTried = true;
    onWriting?.();
    await store.putIfAbsent(name, bytes, { signal, retainUntil: manifest.retainUntil });
    return { state: 'sound', cluster, timeline, id, manifest, manifestSha256: sha256, ...NOT_REMOVED };
  }

  async discard({ signal }: CallOptions = {}): Promise<void> {
    if (this.#commitTried) return;
    for (const { name } of [this.#base, ...this.#attachments].filter((content) => content !== undefined)) {
      try {
        await this.#settings.store.delete(name, { signal });
      } catch (error) {
        if (!(error instanceof GuardianError)) throw error;
      }
    }
  }

  async #put(
    name: string,
    plain: AsyncIterable<Uint8Array>,
    { signal }: CallOptions,
  ): Promise<StoredContent> {
    const content = await putContent(this.#settings, this, name, plain, {
      retainUntil: this.#request.retainUntil,
      signal,
    });
    this.#lastPutAt = this.#settings.clock();
    return content;
  }

  /** Looks once more that the base is there: a sweep by a wrong clock must not make a manifest without data. */
  async #storedBase(signal: AbortSignal | undefined): Promise<StoredContent> {
    const base = this.#base;
    if (base === undefined) {
      throw new GuardianError('repository.no-base', `backup ${this.id} has no base to commit`);
    }
    if (this.#settings.clock().getTime() - this.#lastPutAt.getTime() > COMMIT_WITHIN_MS) {
      throw new GuardianError(
        'repository.too-late',
        `backup ${this.id} was left uncommitted until a sweep may delete it`,
        {
          hint: 'Begin the backup again.',
          retryable: true,
        },
      );
    }
    const { size } = await this.#settings.store.stat(base.name, { signal });
    if (size !== base.storedSize) {
      throw new GuardianError(
        'store.corrupt',
        `${base.name} has ${size} bytes in the store, not ${base.storedSize}`,
      );
    }
    return base;
  }

  #manifest(facts: BackupFacts, base: StoredContent): Manifest {
    const { etcdClusterId, retainUntil } = this.#request;
    if (facts.etcd.clusterId !== etcdClusterId) {
      const [begun, found] = [etcdClusterId, facts.etcd.clusterId].map((id) => id.toString(16));
      throw new GuardianError(
        'repository.other-cluster',
        `begun for etcd cluster ${begun}, made from ${found}`,
        {
          hint: 'Do the endpoints belong to different clusters?',
        },
      );
    }
    const { etcd, snapshot, anchors, proof, statistics, encryptionAtRest, attachmentsLeftOut } = facts;
    const { synthetic, requester, labels } = facts;
    return {
      formatVersion: FORMAT_VERSION,
      id: this.id,
      cluster: this.cluster,
      timeline: this.timeline,
      createdAt: this.#createdAt,
      completedAt: this.#settings.clock(),
      tool: this.#settings.tool,
      ...{ etcd, snapshot, base, anchors, proof, statistics, encryptionAtRest },
      ...{ synthetic, requester, labels },
      attachments: this.#attachments,
      attachmentsLeftOut,
      retainUntil,
    };
  }

  async #checkHistory(history: SnapshotHistory, signal: AbortSignal | undefined): Promise<void> {
    const anchor = await contradictedAnchor(this.#known.anchors, (revision) => history.entryAt(revision));
    if (anchor === undefined) return;
    if (this.#request.onTimeline !== undefined) throw contradicts(this.timeline, anchor);
    const request = { ...this.#request, reason: 'history-differs' } as const;
    await beginTimelineAfter(this.#settings, request, this.timeline, signal);
    throw contradicts(
      this.timeline,
      anchor,
      'The cluster was rebuilt or restored under the same cluster id. Begin the backup again: it takes the new timeline.',
    );
  }
}

/** `again`: what to do, where another attempt takes another timeline. */
function contradicts(timeline: string, { main, sub }: Anchor, again?: string): GuardianError {
  return new GuardianError(
    'repository.history-differs',
    `at revision ${main}.${sub} the snapshot holds another entry than earlier backups on timeline ${timeline}`,
    {
      hint: again ?? 'What it was made from is of another history, or damaged.',
      retryable: again !== undefined,
    },
  );
}
