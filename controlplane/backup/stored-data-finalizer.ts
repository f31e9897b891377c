import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';

/** On EtcdBackups with `deletionPolicy: Delete`: they wait until their data is removed. */
export const STORED_DATA = 'etcdguardian.io/stored-data';

/** Before anything is stored. Rejects with `kubernetes.conflict` when anybody changed it since. */
export async function withFinalizer(
  kube: KubeClient,
  backup: EtcdBackup,
  signal: AbortSignal,
): Promise<EtcdBackup> {
  const { namespace, name, uid, resourceVersion, finalizers = [] } = backup.metadata;
  if (backup.spec.deletionPolicy !== 'Delete' || finalizers.includes(STORED_DATA)) return backup;
  return await kube.mergePatch<EtcdBackup>(
    { resource: ETCD_BACKUP_RESOURCE, namespace, name },
    { metadata: { uid, resourceVersion, finalizers: [...finalizers, STORED_DATA] } },
    { signal },
  );
}
