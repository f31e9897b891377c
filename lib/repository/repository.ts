import type { Clock } from '../clock.ts';
import type { ObjectEncryption, SignatureVerifier, Signer } from '../encryption/object-encryption.ts';
import type { GuardianError } from '../guardian-error.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type {
  BackupEntry,
  BackupPlace,
  DamagedBackup,
  Removal,
  RemovalRequest,
  SoundBackup,
} from './backup-entry.ts';
import type { RandomBytes } from './backup-id.ts';
import type { BackupRequest, ListOptions } from './backup-request.ts';
import type { CallOptions } from './call-options.ts';
import type { ChainPlace, SegmentLog } from './chain.ts';
import type { ChainReport, VerifyChainOptions } from './chain-report.ts';
import type { BackupFacts, StoredContent } from './manifest.ts';
import type { NamespaceBackups } from './namespace-backups.ts';
import type { HistoryEntry, TimelineReason } from './pick-timeline.ts';
import type { RestorePoints } from './points.ts';
import type { JoinedRestore, JoinRequest, KnownRestores } from './restore-record.ts';
import type { RetentionPlan, RetentionPolicy } from './retention-policy.ts';
import type { Timeline, TimelineEntry } from './timeline-entry.ts';

export type {
  BackupEntry,
  BackupPlace,
  DamagedBackup,
  Removal,
  RemovalRequest,
  SoundBackup,
} from './backup-entry.ts';
export type { BackupRequest, ListOptions } from './backup-request.ts';
export type { CallOptions } from './call-options.ts';
export type { RetentionDecision, RetentionPlan, RetentionPolicy } from './retention-policy.ts';
export type { Timeline, TimelineEntry } from './timeline-entry.ts';
import type { VerifyProblem } from './verify-problem.ts';

/**
 * The backups in one store, of any number of clusters.
 *
 * What the store holds is not trusted: every document is checked against its signature (where a verifier is given),
 * its place and its schema. Rejects with a `GuardianError`: `repository.format` (written by a newer program),
 * `repository.damaged`, `repository.misplaced` (a document moved or copied from elsewhere), `repository.not-found`,
 * `repository.ambiguous`, `repository.removed`, `repository.cluster-name`, those of `ObjectStore`, `ObjectEncryption`
 * and `openDocument`, and with the signal's reason when it aborts.
 */
export interface Repository {
  /** For people; the store's. */
  readonly location: string;

  /** What was captured behind the backups. */
  readonly segments: SegmentLog;

  /** Backups of namespaces, which none of the other methods knows. */
  readonly namespaces: NamespaceBackups;

  /** What can be restored of backups and segments together. */
  readonly points: RestorePoints;

  /** Picks the timeline, beginning a new one where history doesn't continue, and reserves an id. */
  beginBackup(request: BackupRequest, options?: CallOptions): Promise<BackupWriter>;

  /** Begins a timeline for a cluster whose history was changed on purpose, e.g. by a restore. Resolves to its id. */
  beginTimeline(request: TimelineRequest, options?: CallOptions): Promise<Timeline>;

  /** Names of the clusters that have a timeline here, in order of names. */
  listClusters(options?: CallOptions): Promise<string[]>;

  /** Newest first. */
  listTimelines(cluster: string, options?: CallOptions): Promise<TimelineEntry[]>;

  /**
   * The highest revision that the cluster is known to have served, on any timeline, or that a restore let it begin at:
   * a restore must begin above it.
   */
  highWater(cluster: string, options?: CallOptions): Promise<bigint>;

  /**
   * Takes part in a restore: the one that is under way for the same backup and members, or else a new one with a fresh
   * token and a first revision above everything before. Runs on several nodes, also at once, come to the same one; a
   * second restore is another one. Also rejects with `repository.other-restore`, and with `store.denied` or the like
   * where a restore would have to begin and the store can't be written.
   */
  joinRestore(request: JoinRequest, options?: CallOptions): Promise<JoinedRestore>;

  /** The restores that were recorded, and which of their members were made. */
  listRestores(cluster: string, options?: CallOptions): Promise<KnownRestores>;

  /**
   * Newest first: by timeline, then by revision. What can't be trusted or read is listed too, as `damaged`, with the reason.
   * Removed backups are left out unless asked for.
   */
  listBackups(cluster: string, options?: ListOptions): Promise<BackupEntry[]>;

  /** One backup by its id, an unambiguous beginning of it, or `latest`. Rejects with the reason if it is damaged. */
  find(cluster: string, which: string, options?: ListOptions): Promise<FoundBackup>;

  /** Whether, when and by whom a backup was removed; also after its data went. */
  removalOf(backup: BackupPlace, options?: CallOptions): Promise<Removal | undefined>;

  /**
   * The snapshot file as it was backed up, trailer included. Rejects part-way as soon as the bytes can't be the right
   * ones; what was read counts only once the iteration has ended without error.
   */
  readBase(backup: SoundBackup, options?: CallOptions): AsyncIterable<Uint8Array>;

  readAttachment(backup: SoundBackup, name: string, options?: CallOptions): AsyncIterable<Uint8Array>;

  /** Checks one backup; what is wrong with it is in the report, not thrown. Rejects when the store can't be read. */
  verifyBackup(backup: BackupPlace, options: VerifyOptions): Promise<VerifyReport>;

  /** Checks a chain's segments, and on demand what they make; what is wrong with them is in the report, not thrown. */
  verifyChain(chain: ChainPlace, options: VerifyChainOptions): Promise<ChainReport>;

  /** Hides a backup at once; its data goes with the first sweep after the grace (24 h), and `undelete` works until then. */
  removeBackup(backup: BackupPlace, request: RemovalRequest, options?: CallOptions): Promise<Removal>;

  undeleteBackup(backup: BackupPlace, request: RemovalRequest, options?: CallOptions): Promise<void>;

  /** What `applyRetention` would do. */
  planRetention(cluster: string, policy: RetentionPolicy, options?: CallOptions): Promise<RetentionPlan>;

  /**
   * Removes what the plan says: backups as `removeBackup` does, segments with trims, which hide them at once and can be
   * undone until the sweep after the grace. Resolves to the plan.
   */
  applyRetention(
    cluster: string,
    policy: RetentionPolicy,
    request: RemovalRequest,
    options?: CallOptions,
  ): Promise<RetentionPlan>;

  /**
   * Deletes what nobody can need: remains of uncommitted backups and unfinished uploads older than a day, removed
   * backups and trimmed segments past their grace, and trims that later ones repeat. What can't be deleted or isn't ours is in the report.
   */
  sweep(options?: SweepOptions): Promise<SweepReport>;
}

export interface RepositorySettings {
  readonly store: ObjectStore;
  /** With it everything is sealed, and unsealed data is refused. */
  readonly encryption?: ObjectEncryption | undefined;
  readonly signer?: Signer | undefined;
  /** With it unsigned documents are refused. */
  readonly verifier?: SignatureVerifier | undefined;
  /**
   * Nothing is written that the keys of the cluster's backups before can't open; see `requireKnownSigner`. For commands,
   * whose keys are easily forgotten; default false, for where a resource names them.
   */
  readonly requiresSameKeys?: boolean | undefined;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** Program and version, for manifests, e.g. `etcdguardian 0.1.0`. */
  readonly tool: string;
}

export interface FoundBackup {
  readonly backup: SoundBackup;
  /** With `latest`: newer ones that can't be used; say so. */
  readonly passedOver: readonly DamagedBackup[];
}

/** Writes one backup. Nothing of it can be seen before `commit`; what is left without it is swept after a day. */
export interface BackupWriter extends BackupPlace {
  /** What was found in the store and passed over, e.g. marks that nobody trusted signed. */
  readonly warnings: readonly GuardianError[];

  /** Why a new timeline was begun for this backup; undefined when an older one goes on. */
  readonly timelineReason: TimelineReason | undefined;

  /** Compresses, seals and stores the snapshot file, trailer included. Rethrows what `plain` throws; then nothing is stored. */
  putBase(plain: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<StoredContent>;

  /** Secrets of nodes and the like: rejects with `repository.attachment-plaintext` where no encryption is configured. */
  putAttachment(
    name: string,
    plain: AsyncIterable<Uint8Array>,
    options?: CallOptions,
  ): Promise<StoredContent>;

  /**
   * The commit point. Compares the snapshot's history with what the timeline holds first, and rejects with
   * `repository.history-differs` (retryable) when it is another history: begin again, which takes a new timeline.
   */
  commit(facts: BackupFacts, history: SnapshotHistory, options?: CommitOptions): Promise<SoundBackup>;

  /**
   * Deletes what was stored, as far as the credentials allow; the sweep gets the rest. Does nothing once `commit` has
   * tried to write the manifest: it may be there although its reply was lost.
   */
  discard(options?: CallOptions): Promise<void>;
}

export interface CommitOptions extends CallOptions {
  /** Told just before the manifest is written: from then on nobody knows whether it is there until `commit` resolves. */
  readonly onWriting?: (() => void) | undefined;
}

/** What a snapshot's verdict knows of single entries of bucket `key`. */
export interface SnapshotHistory {
  entryAt(revision: {
    readonly main: bigint;
    readonly sub: bigint;
  }): HistoryEntry | undefined | Promise<HistoryEntry | undefined>;
}

export interface TimelineRequest {
  readonly cluster: string;
  readonly etcdClusterId: bigint;
  readonly reason: TimelineReason;
}

export interface VerifyOptions extends CallOptions {
  /** `stored`: documents, sizes and sha256 of the objects as stored; no key needed. `deep`: also opens and checks them. */
  readonly depth: 'stored' | 'deep';
  /** Stored bytes read so far, and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface VerifyReport extends BackupPlace {
  readonly depth: 'stored' | 'deep';
  readonly sound: boolean;
  readonly problems: readonly VerifyProblem[];
  readonly warnings: readonly VerifyProblem[];
  readonly objects: number;
  readonly storedBytes: number;
  /** Bytes of the snapshot file that were checked; 0 with depth `stored`. */
  readonly plainBytes: number;
}

export interface SweepOptions extends CallOptions {
  /** Only say what would be done. */
  readonly dryRun?: boolean | undefined;
}

export interface SweepReport {
  readonly deleted: readonly { readonly name: string; readonly size: number; readonly reason: string }[];
  /** Ours to delete, but the store refused. */
  readonly refused: readonly { readonly name: string; readonly problem: GuardianError }[];
  /** Names that this format doesn't know; never touched. */
  readonly unknown: readonly string[];
  readonly abortedUploads: number;
}
