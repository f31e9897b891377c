import { directoryOf } from '../../lib/keyspace/resource-directory.ts';
import { discovery } from '../../lib/kubernetes/discovery.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { ClusterPlan } from '../../lib/restore/cluster/cluster-plan.ts';
import type { OwnPlace } from '../../lib/restore/own/own-keys.ts';
import { type OwnObjects, readOwnObjects } from '../../lib/restore/own/read-own-objects.ts';
import type { ControlPlaneTools } from '../tools.ts';

/**
 * EtcdGuardian as it is now, as etcd stores it, to be put on top of restored data: so that a time before it was installed,
 * or an older version of it, doesn't take away what restores it. Read through the first agent that can. None for a backup
 * of another cluster: there our authority and certificates would be those of a stranger. Rejects with an agent's error.
 */
export async function ownObjects(
  { metadata }: EtcdRestore,
  { participants, point }: Pick<ClusterPlan, 'participants' | 'point'>,
  tools: Pick<ControlPlaneTools, 'agents' | 'cluster' | 'kube' | 'namespace' | 'settings'>,
  signal: AbortSignal,
): Promise<OwnObjects> {
  if (point.cluster !== tools.cluster) return { grafts: [], graftPrefixes: [] };
  const { etcdPrefix: prefix, lease } = tools.settings;
  const place: OwnPlace = {
    ...{ prefix, lease, namespace: tools.namespace },
    customResources: await customResources(tools, signal),
    asks: { namespace: metadata.namespace ?? '', name: metadata.name },
  };
  let failure: unknown;
  for (const { node } of participants) {
    try {
      return await readOwnObjects(place, tools.agents.client(node), signal);
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
  }
  throw failure;
}

/** What tools of others keep in our namespace, e.g. who watches us. */
async function customResources(
  { kube }: Pick<ControlPlaneTools, 'kube'>,
  signal: AbortSignal,
): Promise<OwnPlace['customResources']> {
  const { resources } = await discovery(kube).get({ signal });
  // Kubernetes' own have no dot in their directories.
  return resources.filter((served) => served.namespaced && directoryOf(served).includes('.'));
}
