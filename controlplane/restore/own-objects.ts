import { Buffer } from 'node:buffer';
import type { AgentClient } from '../../lib/agent-api/agent-client.ts';
import { readStoredObject } from '../../lib/keyspace/object-meta.ts';
import { directoryOf } from '../../lib/keyspace/resource-directory.ts';
import { serviceAddresses } from '../../lib/keyspace/service-addresses.ts';
import { discovery } from '../../lib/kubernetes/discovery.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { ClusterPlan } from '../../lib/restore/cluster/cluster-plan.ts';
import type { StageOrder } from '../../lib/restore/cluster/participant.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { addressKeys, ownKeys, type OwnPlace } from './own-keys.ts';

/** Of a `StageOrder`: holds our Secrets, so it goes to agents and nowhere else. */
export type OwnObjects = Required<Pick<StageOrder, 'grafts' | 'graftPrefixes'>>;

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

/** The same for a place that is known. */
export async function readOwnObjects(
  place: OwnPlace,
  agent: Pick<AgentClient, 'readKeys'>,
  signal: AbortSignal,
): Promise<OwnObjects> {
  const { prefixes, keys, whereAbsent, ifLabelled } = ownKeys(place);
  const graftPrefixes = prefixes.map(bytesOf);
  const found = await agent.readKeys(
    { keys: [...keys, ...whereAbsent, ...ifLabelled].map(bytesOf), prefixes: graftPrefixes },
    { signal, timeoutMs: READ_MS },
  );
  const absent = new Set(whereAbsent);
  const labelled = new Set(ifLabelled);
  const items = found.items.flatMap(({ key, value }) => {
    const name = Buffer.from(key).toString();
    if (labelled.has(name) && !isOurs(Buffer.from(value))) return [];
    return [{ key, value, whereAbsent: absent.has(name) }];
  });

  // The API server gives the addresses of Services to others, unless it finds them taken.
  const services = `${place.prefix}/services/specs/${place.namespace}/`;
  const addresses = items.flatMap(({ key, value }) =>
    Buffer.from(key).toString().startsWith(services) ? serviceAddresses(Buffer.from(value)) : [],
  );
  const taken = await agent.readKeys(
    { keys: addressKeys(place.prefix, addresses).map(bytesOf) },
    { signal, timeoutMs: READ_MS },
  );
  return { grafts: [...items, ...taken.items], graftPrefixes };
}

const READ_MS = 60_000;

function bytesOf(text: string): Buffer<ArrayBuffer> {
  return Buffer.from(text);
}

function isOurs(value: Buffer): boolean {
  const found = readStoredObject(value);
  return found.kind === 'object' && found.meta.labels.get('app.kubernetes.io/name') === 'etcdguardian';
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
