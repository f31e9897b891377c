import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { RestoreSource } from '../../lib/kubernetes/rights/required-rights.ts';
import type { SnapshotPlace } from '../backup/snapshot-location.ts';
import type { RunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';

/** A restore of namespaces, with everything that its spec names already followed. */
export interface NamespaceRestoreRequest {
  readonly restore: EtcdRestore;
  /** Where the backup lies. */
  readonly place: SnapshotPlace;
  readonly storageLocation: StorageLocation;
  /** Read for this attempt as the requester. */
  readonly secrets: Pick<RunSecrets, 'store' | 'keys'>;
  /** What `backupName` means, for the rights. */
  readonly source: RestoreSource | undefined;
  readonly tools: ControlPlaneTools;
  /** Aborts when leadership ends, and when the restore is deleted. */
  readonly signal: AbortSignal;
  readonly onProgress: (message: string) => void;
}
