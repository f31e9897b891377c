import type { BackupTaskResult } from '../../lib/backup/task/backup-result.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { BackedUpNamespaces, EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { Judgement } from '../../lib/kubernetes/rights/judge-rights.ts';
import type { RunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';

/**
 * Makes what one EtcdBackup asks for: by an agent, in this process, or namespace by namespace. Called again with the same
 * operation, in another process too, it joins or finds what the first call began: there is one backup of each operation.
 * Rejects with a `GuardianError`, retryable where a later attempt may succeed, and with the signal's reason.
 */
export type BackupRun = (run: BackupRunRequest) => Promise<BackupOutcome>;

export interface BackupRunRequest {
  /** As it was when the attempt began; has a uid, a namespace and no schedule. */
  readonly backup: EtcdBackup;
  /** The uid of the EtcdBackup: names the work on agents, in manifests (`etcdguardian.io/operation`) and logs. */
  readonly operation: string;
  /** Its Secrets, read for this attempt as the requester. */
  readonly secrets: RunSecrets;
  /** The requester's rights as they are now; `surroundings.namespaces` are those to back up, and no others. */
  readonly judgement: Judgement;
  /** For the manifest: who owns the backup, and which retention it falls under. */
  readonly labels: Readonly<Record<string, string>>;
  readonly tools: ControlPlaneTools;
  /** Aborts when leadership ends, and when the backup is cancelled or deleted. */
  readonly signal: AbortSignal;
  /** Tells where it is; cheap, so tell as often as it moves. */
  readonly onProgress: (progress: RunProgress) => void;
  /**
   * Writes down who does it, before it is begun: whoever takes over goes there first. Resolves when it is in the status.
   */
  readonly record: (source: RecordedSource) => Promise<void>;
}

export interface RunProgress {
  readonly step: NonNullable<EtcdBackupStatus['step']>;
  /** For people; may be empty. */
  readonly message: string;
  readonly doneBytes: number;
  /** About; 0: not known. */
  readonly totalBytes: number;
}

export interface RecordedSource {
  /** The node whose agent does it; empty where the control plane does. */
  readonly node: string;
}

/** What was made. Fields as `runBackupTask` has them; a backup of namespaces has no member to be read. */
export interface BackupOutcome extends Omit<BackupTaskResult, 'endpoint' | 'memberId' | 'etcdVersion'> {
  readonly endpoint?: string | undefined;
  readonly memberId?: bigint | undefined;
  readonly etcdVersion?: string | undefined;
  /** Where EtcdRestore finds it; left out: made from `location` and `point`. */
  readonly snapshotLocation?: string | undefined;
  readonly namespaces?: BackedUpNamespaces | undefined;
}
