// Written by `make generate` from manifests/crds. Don’t edit.

/**
 * What happened. Written by the control plane only; nothing in it is ever believed when rights are
 * decided.
 */
export interface EtcdBackupStatus {
  /** The generation of the spec that the status is about. */
  readonly observedGeneration?: number;
  /** Where it stands, in one word. For a backup with a schedule, Running while one of its runs is. */
  readonly phase?: 'Pending' | 'Running' | 'Completed' | 'Failed';
  /** What a running backup is doing, and what a failed one was doing. */
  readonly step?:
    'Validating' | 'Preparing' | 'Snapshotting' | 'Uploading' | 'ValidatingSnapshot' | 'TriggeringVelero';
  /** The stable code of a failure, like store.denied. */
  readonly reason?: string;
  /** What happened, in one sentence; of a failure also what to do about it. */
  readonly message?: string;
  /** When it began to run. RFC 3339. */
  readonly startTime?: string;
  /** When it completed or failed. RFC 3339. */
  readonly completionTime?: string;
  /** Bytes of the snapshot, of an increment those of its changes, as etcd has them. */
  readonly snapshotSize?: number;
  /** Bytes in the store, compressed and encrypted. */
  readonly storedSize?: number;
  /** Where the backup lies, as EtcdRestore's snapshotLocation takes it. */
  readonly snapshotLocation?: string;
  /** The revision that the backup restores to. */
  readonly etcdRevision?: number;
  /** The point in etcd's history that the backup restores to. */
  readonly restorePoint?: RestorePoint;
  /** What was made; Full, though Incremental was asked for, where there was nothing to continue. */
  readonly effectiveMode?: 'Full' | 'Incremental';
  /** Where the data came from, and who is doing it. */
  readonly source?: BackupSource;
  /** How far a running backup has come. */
  readonly progress?: BackupProgress;
  /** What a backup of namespaces holds. */
  readonly namespaces?: BackedUpNamespaces;
  /** What is proven about the backup. */
  readonly validationResult?: ValidationResult;
  /** The name of the Velero Backup made with it. */
  readonly veleroBackupName?: string;
  /** The uid of the Velero Backup made with it. */
  readonly veleroBackupUID?: string;
  /** Where both lie, this backup and Velero's. */
  readonly combinedBackupLocation?: string;
  /** With a schedule, when it last began a run. RFC 3339. */
  readonly lastBackupTime?: string;
  /** With a schedule, when it begins the next run. RFC 3339. */
  readonly nextBackupTime?: string;
  /** With a schedule, the name of its newest completed run, which this backup's name stands for. */
  readonly lastSuccessfulBackup?: string;
  /** With a schedule, its runs, the newest first. */
  readonly backupHistory?: readonly BackupRun[];
  /**
   * For machines: Admitted, Progressing, Stored, Validated, VeleroCompleted, Ready, and warnings like
   * RequesterStale.
   */
  readonly conditions?: readonly Condition[];
}

/** One aspect of the state. */
export interface Condition {
  /** Which aspect. */
  readonly type: string;
  /** Whether it holds. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** The generation of the spec that it is about. */
  readonly observedGeneration?: number;
  /** When the status last changed. RFC 3339. */
  readonly lastTransitionTime: string;
  /** Why, in one word. */
  readonly reason: string;
  /** Why, in a sentence. */
  readonly message: string;
}

/** A run. */
export interface BackupRun {
  /** The name of the EtcdBackup. */
  readonly name: string;
  /** Where it stands. */
  readonly phase?: 'Pending' | 'Running' | 'Completed' | 'Failed';
  /** When it began. RFC 3339. */
  readonly startTime?: string;
  /** When it completed or failed. RFC 3339. */
  readonly completionTime?: string;
  /** The revision that it restores to. */
  readonly etcdRevision?: number;
  /** Bytes of the snapshot or of its changes. */
  readonly snapshotSize?: number;
  /** Where it lies. */
  readonly snapshotLocation?: string;
  /** Why it failed. */
  readonly message?: string;
}

/** What is proven about the backup. */
export interface ValidationResult {
  /**
   * Sound: everything that was asked for was checked and holds. Unsound: the data is not what it should be.
   * Skipped: nothing was checked.
   */
  readonly verdict?: 'Sound' | 'Unsound' | 'Skipped';
  /** When it was checked. RFC 3339. */
  readonly checkTime?: string;
  /**
   * Whether the backup equals a live member. LiveHash: a member computed the same hash. CompactionHash: it
   * is a hash that a member had kept. Mismatch: a member's hash is another one. None: no member was asked,
   * or none could say.
   */
  readonly proof?: 'LiveHash' | 'CompactionHash' | 'Mismatch' | 'None';
  /** Why there is no proof, or which member differs. */
  readonly proofMessage?: string;
  /** The revision at which hashes were compared. */
  readonly proofRevision?: number;
  /** etcd's hash of keys and values at the restore point. */
  readonly hashKV?: number;
  /** Up to which revision the history was compacted; -1 for never. */
  readonly compactRevision?: number;
  /** Keys that are alive at the restore point. */
  readonly totalKeys?: number;
  /** SHA-256 of the snapshot, in hexadecimal. */
  readonly sha256?: string;
  /** When a restore of it, or of a run of it, was last rehearsed to its end. RFC 3339. */
  readonly lastDrillTime?: string;
  /** How its last drill went, a rehearsed restore; of a backup with a schedule, the last one of its runs. */
  readonly drill?: LastDrill;
  /** What is wrong with it; the first 50. */
  readonly problems?: readonly ValidationProblem[];
}

/** Something that is wrong with the data. */
export interface ValidationProblem {
  /** Which kind of problem, like bolt.page-order. */
  readonly code: string;
  /** What is wrong, and where. */
  readonly message: string;
}

/** How its last drill went, a rehearsed restore; of a backup with a schedule, the last one of its runs. */
export interface LastDrill {
  /**
   * Passed: it was restored and everything holds. Failed: it was restored, or could not be, and something
   * does not hold. Unknown: the drill could not be held, which says nothing about the backup.
   */
  readonly result?: 'Passed' | 'Failed' | 'Unknown';
  /** When that was. RFC 3339. */
  readonly time?: string;
  /** With a schedule, the run that was drilled. */
  readonly backup?: string;
  /** How long it took until the restored etcd served, and its API server where one was started. */
  readonly recoverySeconds?: number;
  /** The version of etcd that was started on it. */
  readonly etcdVersion?: string;
  /** The version of kube-apiserver that was started on it; absent where none was. */
  readonly kubeApiserverVersion?: string;
  /** Keys in the restored etcd. */
  readonly keys?: number;
  /** How it went, in one sentence; if it did not pass, also what to do about it. */
  readonly message?: string;
  /** The value of annotation etcdguardian.io/drill that was served last. */
  readonly requested?: string;
  /** How many drills in a row could not be held; absent when the last one was. */
  readonly attempts?: number;
}

/** What a backup of namespaces holds. */
export interface BackedUpNamespaces {
  /** The namespaces that the selector chose; the first 1,000. */
  readonly names?: readonly string[];
  /** How many there are. */
  readonly count?: number;
  /** How many objects were backed up. */
  readonly objects?: number;
  /** Kinds that were left out. */
  readonly omitted?: readonly OmittedKind[];
}

/** A kind that was left out. */
export interface OmittedKind {
  /** The resource, with its group, like secrets or ingresses.networking.k8s.io. */
  readonly resource: string;
  /** Why, like a permission that the requester doesn't have. */
  readonly reason: string;
}

/** How far a running backup has come. */
export interface BackupProgress {
  /** Bytes of the snapshot that have passed. */
  readonly doneBytes?: number;
  /** Bytes that there will be, about. */
  readonly totalBytes?: number;
  /** When that was. RFC 3339. */
  readonly updateTime?: string;
}

/** Where the data came from, and who is doing it. */
export interface BackupSource {
  /** The id of the operation in logs and on the agent. */
  readonly operation?: string;
  /** The node whose agent does it; empty where the control plane does. */
  readonly node?: string;
  /** The address of the member that was read. */
  readonly endpoint?: string;
  /** The id of that member, as etcdctl prints it. */
  readonly member?: string;
  /** The version of etcd. */
  readonly etcdVersion?: string;
  /** How often it was begun. */
  readonly attempts?: number;
}

/** The point in etcd's history that the backup restores to. */
export interface RestorePoint {
  /** The name of the cluster, the uid of its namespace kube-system. */
  readonly cluster?: string;
  /** The unbroken history of revisions that it belongs to. */
  readonly timeline?: string;
  /** The id of the full snapshot that it builds on, and of the changes behind that. */
  readonly chain?: string;
  /** The revision. */
  readonly revision?: number;
  /** When the cluster was at that revision, as far as that is known. RFC 3339. */
  readonly time?: string;
}
