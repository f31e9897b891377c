// Written by `make generate` from manifests/crds. Don’t edit.

import type { Condition } from './etcd-backup-status.ts';
import type { RestorePoint } from './etcd-backup-status.ts';

/**
 * What happened. Written by the control plane only; nothing in it is ever believed when rights are
 * decided.
 */
export interface EtcdRestoreStatus {
  /** The generation of the spec that the status is about. */
  readonly observedGeneration?: number;
  /** Where it stands, in one word. */
  readonly phase?: 'Pending' | 'Quiescing' | 'Restoring' | 'Validating' | 'Completed' | 'Failed';
  /** What a running restore is doing, and what a failed one was doing. */
  readonly step?:
    'Planning' | 'Staging' | 'Quiescing' | 'Swapping' | 'Verifying' | 'Resuming' | 'RollingBack' | 'Applying';
  /** The stable code of a failure, like restore.no-space. */
  readonly reason?: string;
  /** What happened, in one sentence; of a failure also what to do about it. */
  readonly message?: string;
  /** When it began to run. RFC 3339. */
  readonly startTime?: string;
  /** When it completed or failed. RFC 3339. */
  readonly completionTime?: string;
  /** Where the backup lies that is restored. */
  readonly snapshotLocation?: string;
  /** The name of the backup that is restored, where the given one stands for the newest run. */
  readonly backupName?: string;
  /** The point in etcd's history that the backup restores to. */
  readonly restorePoint?: RestorePoint;
  /** The revision that was restored. */
  readonly restoredRevision?: number;
  /** How many keys were restored; of namespaces, how many objects. */
  readonly restoredKeys?: number;
  /** The id of the operation in logs, on the agents and in their journals. */
  readonly operation?: string;
  /** The term of the coordinator; agents refuse lower ones. */
  readonly term?: number;
  /** The members of the cluster, and how far each has come. */
  readonly members?: readonly RestoredMember[];
  /** What became of the objects of restored namespaces. */
  readonly objects?: RestoredObjects;
  /** What went wrong, in sentences; the first 100. */
  readonly errors?: readonly string[];
  /** For machines: Admitted, Staged, Quiesced, Verified, Completed, RolledBack. */
  readonly conditions?: readonly Condition[];
}

/** What became of the objects of restored namespaces. */
export interface RestoredObjects {
  /** Objects that weren't there. */
  readonly created?: number;
  /** Objects that were there and became what the backup holds. */
  readonly replaced?: number;
  /** Objects that were left alone. */
  readonly skipped?: number;
  /** Objects that the API server refused. */
  readonly failed?: number;
  /** The ConfigMap of this namespace with a line for each object. */
  readonly report?: string;
}

/** A member. */
export interface RestoredMember {
  /** The node it runs on. */
  readonly node: string;
  /** Its name in etcd. */
  readonly name?: string;
  /** Its data directory, as its agent found it. */
  readonly dataDir?: string;
  /** How far it has come. */
  readonly state?:
    'Planned' | 'Staged' | 'Quiesced' | 'Swapped' | 'Verified' | 'Resumed' | 'RolledBack' | 'Failed';
  /** Where its old data is kept until someone removes it. */
  readonly previousDataDir?: string;
  /** What went wrong there. */
  readonly message?: string;
}
