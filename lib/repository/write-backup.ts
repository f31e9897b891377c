import { GuardianError } from '../guardian-error.ts';
import { newBackupId } from './backup-id.ts';
import { putContent } from './content.ts';
import { decodeDocument, encodeDocument, FORMAT_VERSION } from './document.ts';
import { capturedUpTo, readHighWater, recordHighWater } from './high-water.ts';
import { attachmentName, baseName, checkClusterName, manifestName } from './layout.ts';
import { newestOnTimeline, newestSound } from './list-backups.ts';
import {
  type Anchor,
  type BackupFacts,
  type Manifest,
  manifestDocument,
  type StoredContent,
} from './manifest.ts';
import { ensureMarker } from './marker.ts';
import { breakOfHistory, contradictedAnchor, type TimelineReason } from './pick-timeline.ts';
import {
  type BackupRequest,
  type BackupWriter,
  type CallOptions,
  type CommitOptions,
  type RepositorySettings,
  type SnapshotHistory,
  type SoundBackup,
  type Timeline,
} from './repository.ts';
import { wasRestoredAs } from './restores.ts';
import { COMMIT_WITHIN_MS } from './sweep.ts';
import { beginTimelineAfter, newestTimeline } from './timelines.ts';

/** See `Repository.beginBackup`. */
export async function beginBackup(
  settings: RepositorySettings,
  request: BackupRequest,
  { signal }: CallOptions = {},
): Promise<BackupWriter> {
  checkClusterName(request.cluster);
  await ensureMarker(settings, signal);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const newest = await newestTimeline(settings, request.cluster, signal);
    const known = newest && (await historyOf(settings, newest, signal));
    if (request.onTimeline !== undefined) {
      if (known === undefined || !continues(known, request)) throw otherTimeline(request, newest);
      return new Writer(settings, request, known, undefined);
    }
    const broken = known === undefined ? 'first' : await breakSince(settings, known, request, signal);
    const reason = await explained(settings, request, broken, signal);
    if (known !== undefined && reason === undefined) return new Writer(settings, request, known, undefined);
    const begin = {
      cluster: request.cluster,
      etcdClusterId: request.etcdClusterId,
      reason: reason ?? 'first',
    };
    const begun = await beginTimelineAfter(settings, begin, newest?.timeline, signal);
    const fresh = begun && { ...begun, highWater: 0n, anchors: [], warnings: known?.warnings ?? [] };
    if (fresh !== undefined) return new Writer(settings, request, fresh, reason);
  }
  throw new GuardianError(
    'repository.contended',
    `others keep beginning timelines of cluster ${request.cluster} in ${settings.store.location}`,
    { hint: 'Is one name used for two clusters? Give each its own with --cluster NAME.', retryable: true },
  );
}

const MOST_ATTEMPTS = 10;

function continues(newest: Timeline, { onTimeline, etcdClusterId }: BackupRequest): boolean {
  return newest.timeline === onTimeline && newest.etcdClusterId === etcdClusterId;
}

function otherTimeline({ cluster, onTimeline }: BackupRequest, newest: Timeline | undefined): GuardianError {
  return new GuardianError(
    'repository.other-timeline',
    `timeline ${onTimeline} of cluster ${cluster} is not the one that goes on: that is ${newest?.timeline ?? 'none'}`,
    { hint: 'Nothing is added to a timeline that ended: what stands on it can be restored as it is.' },
  );
}

/** Why the cluster isn't on this timeline any more, by what it shows; also when it is behind what was captured of it. */
async function breakSince(
  settings: RepositorySettings,
  known: KnownTimeline,
  request: BackupRequest,
  signal: AbortSignal | undefined,
): Promise<TimelineReason | undefined> {
  const broken = breakOfHistory(known, request);
  if (
    broken !== undefined &&
    (broken !== 'revision-went-back' || !(await isAhead(known.highWater, request, signal)))
  )
    return broken;
  if (request.latestRevision === undefined) return undefined;
  const captured = await capturedUpTo(settings, known.cluster, known.timeline, signal);
  const isBehind = captured > request.clusterRevision && (await isAhead(captured, request, signal)) === false;
  return isBehind ? 'revision-went-back' : undefined;
}

/** Whether the cluster has reached a revision by now, which others may have stored meanwhile; undefined: nobody knows. */
async function isAhead(
  revision: bigint,
  { latestRevision }: BackupRequest,
  signal: AbortSignal | undefined,
): Promise<boolean | undefined> {
  if (latestRevision === undefined) return undefined;
  try {
    return revision <= (await latestRevision());
  } catch (error) {
    signal?.throwIfAborted();
    // Without a leader nobody knows the revision, and a backup matters all the more.
    if (!(error instanceof GuardianError)) throw error;
    return undefined;
  }
}

/** Another cluster id is what a restore gives; the record of one tells it from a cluster that was built anew. */
async function explained(
  settings: RepositorySettings,
  { cluster, etcdClusterId }: BackupRequest,
  reason: TimelineReason | undefined,
  signal: AbortSignal | undefined,
): Promise<TimelineReason | undefined> {
  if (reason !== 'cluster-id-changed') return reason;
  return (await wasRestoredAs(settings, cluster, etcdClusterId, signal)) ? 'restored' : reason;
}

/** A timeline, and what is known of its history when a backup begins. */
interface KnownTimeline extends Timeline {
  readonly highWater: bigint;
  readonly anchors: readonly Anchor[];
  readonly warnings: readonly GuardianError[];
}

async function historyOf(
  settings: RepositorySettings,
  timeline: Timeline,
  signal: AbortSignal | undefined,
): Promise<KnownTimeline> {
  const { revision, problems } = await readHighWater(settings, timeline.cluster, timeline.timeline, signal);
  const newest = newestSound(await newestOnTimeline(settings, timeline, BACKUPS_TO_ASK, signal));
  const backedUp = newest?.manifest.snapshot.currentRevision ?? 0n;
  const highWater = backedUp > revision ? backedUp : revision;
  return { ...timeline, highWater, anchors: newest?.manifest.anchors ?? [], warnings: problems };
}

const NOT_REMOVED = { removal: undefined, lastMark: 0, warnings: [] } as const;

/** Enough that one of them is sound, few enough to be read quickly. */
const BACKUPS_TO_ASK = 8;

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
    const { etcd, snapshot, anchors, proof, statistics, encryptionAtRest, synthetic, requester, labels } =
      facts;
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
