// Written by `make generate` from manifests/crds. Don’t edit.

import type { Encryption } from './etcd-backup-spec.ts';
import type { Hook } from './etcd-backup-spec.ts';
import type { Requester } from './etcd-backup-spec.ts';
import type { StorageLocation } from './etcd-backup-spec.ts';

/** What to restore, from where, and how. */
export interface EtcdRestoreSpec {
  /**
   * The EtcdBackup of this namespace to restore from. The name of a backup with a schedule, or of an
   * EtcdBackupSchedule, means its newest completed run.
   */
  readonly backupName?: string;
  /**
   * The place of a backup, as the status of an EtcdBackup gives it. Wins over backupName, and works where
   * the EtcdBackup is gone.
   */
  readonly snapshotLocation?: string;
  /** The object store of snapshotLocation, with the credentials for it. */
  readonly storageLocation?: StorageLocation;
  /** The key that the backup at snapshotLocation was encrypted with. */
  readonly encryption?: Encryption;
  /**
   * Full: the very point of the backup. Incremental: the newest point of its chain. PointInTime: any point
   * of its chain, given by targetRevision or targetTime.
   */
  readonly restoreMode: 'Full' | 'Incremental' | 'PointInTime';
  /** The revision of etcd to go back to. */
  readonly targetRevision?: number;
  /** The time to go back to; the last revision up to it is restored. RFC 3339. */
  readonly targetTime?: string;
  /**
   * The etcd to restore. Where agents run they know it, and this only confirms what they found: a restore
   * with another one fails before it begins.
   */
  readonly etcdCluster?: EtcdCluster;
  /**
   * Whether API servers are stopped during the restore. Only false where none uses this etcd: those that
   * run on would show what no longer is.
   */
  readonly quiesceCluster: boolean;
  /** Commands on the control-plane nodes before anything is stopped. If one fails, nothing is restored. */
  readonly preRestoreHooks?: readonly Hook[];
  /** Commands on the control-plane nodes after the restore, whether it succeeded or not. */
  readonly postRestoreHooks?: readonly Hook[];
  /** Whether versions of etcd and Kubernetes that don't fit stop the restore. */
  readonly versionCompatibility: VersionCompatibility;
  /**
   * Only these namespaces, and through the API server with the requester's rights, while the cluster runs.
   * Empty: the whole cluster; for a backup of namespaces, all of these.
   */
  readonly namespaceFilter?: readonly string[];
  /**
   * What happens to objects that are there already, when namespaces are restored. Fail: nothing is
   * restored. Skip: they stay. Replace: they become what the backup holds.
   */
  readonly conflictPolicy: 'Fail' | 'Skip' | 'Replace';
  /** Whether it is only tried, and told what would happen. */
  readonly dryRun: boolean;
  /**
   * Who asked for this. Written by the admission webhook, whatever was sent; the rights of this user
   * decide.
   */
  readonly requestedBy?: Requester;
}

/** Whether versions of etcd and Kubernetes that don't fit stop the restore. */
export interface VersionCompatibility {
  /** Whether versions are compared. */
  readonly check: boolean;
  /** Whether a mismatch is only told, where that can work at all. */
  readonly allowMismatch: boolean;
}

/**
 * The etcd to restore. Where agents run they know it, and this only confirms what they found: a restore
 * with another one fails before it begins.
 */
export interface EtcdCluster {
  /** Client addresses of all its members. */
  readonly endpoints?: readonly string[];
  /** The data directory of its members. */
  readonly dataDir?: string;
}
