import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { retentionScope } from '../backup/backup-labels.ts';

/**
 * Backups that one policy counts together: of one scope, in one place of one store, of one cluster. The key of a queue,
 * which begins with the namespace.
 */
export function retentionGroup(backup: EtcdBackup): string | undefined {
  const { phase, restorePoint, namespaces } = backup.status ?? {};
  const { maxBackups, maxAge } = backup.spec.retentionPolicy ?? {};
  if (phase !== 'Completed' || restorePoint?.cluster === undefined) return undefined;
  if (maxBackups === undefined && maxAge === undefined) return undefined;
  const { provider, bucket, prefix = '', endpoint = '' } = backup.spec.storageLocation;
  const what = namespaces === undefined ? 'cluster' : 'namespaces';
  const place = [provider, endpoint, bucket, prefix, restorePoint.cluster, what];
  return `${backup.metadata.namespace ?? ''}/${retentionScope(backup)} ${JSON.stringify(place)}`;
}

/** Of a group, which completed last: its policy is the one in force. */
export function newestOf(backups: readonly EtcdBackup[], group: string): EtcdBackup | undefined {
  let newest: EtcdBackup | undefined;
  for (const backup of backups) {
    if (retentionGroup(backup) !== group) continue;
    if (newest === undefined || completed(backup) > completed(newest)) newest = backup;
  }
  return newest;
}

function completed({ status }: EtcdBackup): string {
  return status?.completionTime ?? '';
}
