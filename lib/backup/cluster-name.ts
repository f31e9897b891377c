import type { EtcdClient } from '../etcd/client/etcd-client.ts';
import { GuardianError } from '../guardian-error.ts';
import { uidOfNamespace } from '../keyspace/cluster-uid.ts';

const KUBE_SYSTEM = '/registry/namespaces/kube-system';

/**
 * The name under which a cluster's backups are kept: as given, or else the uid of its namespace kube-system. etcd's
 * own cluster id is no name: it follows from peer URLs, so a rebuilt cluster repeats it.
 *
 * Rejects with `backup.cluster-name` where there is no such namespace, or its uid can't be read.
 */
export async function clusterName(
  client: Pick<EtcdClient, 'range'>,
  given: string | undefined,
  signal?: AbortSignal,
): Promise<string> {
  if (given !== undefined) return given;
  const { kvs } = await client.range(KUBE_SYSTEM, { signal, serializable: true });
  const value = kvs[0]?.value;
  if (value === undefined) {
    throw new GuardianError(
      'backup.cluster-name',
      `this etcd holds no ${KUBE_SYSTEM}: the cluster has no name`,
      {
        hint: 'say which cluster this is with --cluster NAME, and use that name for all its backups and restores',
      },
    );
  }
  const uid = uidOfNamespace(value);
  if (uid === undefined) {
    throw new GuardianError(
      'backup.cluster-name',
      `the uid in ${KUBE_SYSTEM} can't be read (encrypted at rest?)`,
      {
        hint: 'give it with --cluster "$(kubectl get namespace kube-system -o jsonpath={.metadata.uid})"',
      },
    );
  }
  return uid;
}
