import type { GuardianError } from '../guardian-error.ts';
import type { BackupPlace, DamagedBackup, Removal, RemovalRequest } from './backup-entry.ts';
import type { BackupRequest, ListOptions } from './backup-request.ts';
import type { CallOptions } from './call-options.ts';
import type { NamespaceManifest, NamespacePart } from './namespace-manifest.ts';
import type { PartRecord } from './part-records.ts';
import type { RetentionPolicy } from './retention-policy.ts';

/**
 * The backups of namespaces in one store. They are no restore points of a cluster: nothing here is ever found among
 * `Repository.listBackups`, `latest`, points or chains, and nothing there is found here. Removal, grace and sweep are
 * those of the repository, by place. Rejects as `Repository` does.
 */
export interface NamespaceBackups {
  /** Picks the timeline as a backup of the cluster would, and reserves an id. */
  begin(request: BackupRequest, options?: CallOptions): Promise<NamespaceBackupWriter>;

  /**
   * Stores one part of a backup that is being made, perhaps by someone else. Nothing of it can be seen before that one
   * commits. Rethrows what `records` throws; then nothing is stored.
   */
  putPart(
    place: BackupPlace,
    part: NamespacePart['kind'],
    records: AsyncIterable<PartRecord>,
    options?: CallOptions & { readonly retainUntil?: Date | undefined },
  ): Promise<NamespacePart>;

  /** Newest first, by timeline, then revision; what can't be trusted is listed as `damaged`. */
  list(cluster: string, options?: ListOptions): Promise<NamespaceBackupEntry[]>;

  /** By its whole id. Rejects with the reason where it is damaged, and with `repository.removed`. */
  find(cluster: string, id: string, options?: ListOptions): Promise<SoundNamespaceBackup>;

  /** A part that someone else has put, by what that one tells of it; the rest follows from our own keys. */
  describePart(place: BackupPlace, put: PutElsewhere): NamespacePart;

  /** The objects of a part; what was read counts only once the iteration has ended without error. */
  readPart(place: BackupPlace, part: NamespacePart, options?: CallOptions): AsyncIterable<PartRecord>;

  /** What `applyRetention` would do. */
  planRetention(
    cluster: string,
    policy: NamespaceRetention,
    options?: CallOptions,
  ): Promise<NamespaceRetentionPlan>;

  /** Removes what the policy doesn't keep; the newest good one always stays. */
  applyRetention(
    cluster: string,
    policy: NamespaceRetention,
    request: RemovalRequest,
    options?: CallOptions,
  ): Promise<NamespaceRetentionPlan>;
}

/** Writes one backup. Nothing of it can be seen before `commit`; what is left without it is swept after a day. */
export interface NamespaceBackupWriter extends BackupPlace {
  readonly warnings: readonly GuardianError[];
  /** The commit point. Rejects with `store.corrupt` where a part isn't there as it should be. */
  commit(facts: NamespaceFacts, options?: CallOptions): Promise<SoundNamespaceBackup>;
}

export type PutElsewhere = Pick<
  NamespacePart,
  'kind' | 'plainSize' | 'plainSha256' | 'storedSize' | 'sha256' | 'objects'
> & { readonly name: string };

/** What whoever made the backup tells; the rest of the manifest is the repository's own knowledge. */
export type NamespaceFacts = Pick<
  NamespaceManifest,
  'revision' | 'readAt' | 'namespaces' | 'resources' | 'omitted' | 'parts' | 'requester' | 'labels'
>;

export type NamespaceBackupEntry = SoundNamespaceBackup | DamagedBackup;

export interface SoundNamespaceBackup extends BackupPlace {
  readonly state: 'sound';
  readonly manifest: NamespaceManifest;
  /** Of the manifest's bytes as stored. */
  readonly manifestSha256: string;
  readonly removal: Removal | undefined;
  readonly lastMark: number;
  readonly warnings: readonly GuardianError[];
}

export type NamespaceRetention = Pick<RetentionPolicy, 'maxBackups' | 'maxAgeMs' | 'labels'>;

export interface NamespaceRetentionPlan {
  readonly keep: readonly NamespaceRetentionDecision[];
  readonly remove: readonly NamespaceRetentionDecision[];
}

export interface NamespaceRetentionDecision {
  readonly backup: NamespaceBackupEntry;
  /** For people. */
  readonly reason: string;
}
