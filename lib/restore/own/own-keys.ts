import { BUILTIN_DIRECTORIES } from '../../keyspace/builtin-resources.ts';
import { type NamedResource, directoryOf } from '../../keyspace/resource-directory.ts';

/** Where EtcdGuardian is installed, and what asks for a restore. */
export interface OwnPlace {
  /** What API servers put before their keys. */
  readonly prefix: string;
  readonly namespace: string;
  /** Of the replica that leads. */
  readonly lease: string;
  /** Namespaced resources that CustomResourceDefinitions make. */
  readonly customResources: readonly NamedResource[];
  /** The EtcdRestore; undefined where a person asks. */
  readonly asks: { readonly namespace: string; readonly name: string } | undefined;
}

/** Keys in etcd that are ours. */
export interface OwnKeys {
  /** As they are now; where the restored data has others under a prefix, those go. */
  readonly prefixes: readonly string[];
  readonly keys: readonly string[];
  /** Only where the restored data has none. */
  readonly whereAbsent: readonly string[];
  /** Ours only where they carry our label: their names are anyone's. */
  readonly ifLabelled: readonly string[];
}

const OWN_GROUP = 'etcdguardian.io';
/** All that is cluster-wide, and all that a namespace of Kubernetes' own has of us, is named so. */
const OWN_NAME = 'etcdguardian';

/**
 * Everything in our namespace but what is of the moment or tied to things elsewhere; what we have cluster-wide, by its
 * name; and the EtcdRestore wherever it lies. Where we were put into a namespace of Kubernetes' own, only what is named
 * after us is ours there.
 */
export function ownKeys({ prefix, namespace, lease, customResources, asks }: OwnPlace): OwnKeys {
  const at = (path: string): string => `${prefix}/${path}`;
  const isShared = KUBERNETES_NAMESPACES.has(namespace);
  const custom = [...OWN_RESOURCES.map((plural) => ({ group: OWN_GROUP, plural })), ...customResources];
  const customDirectories = [...new Set(custom.map(directoryOf))];
  return {
    prefixes: [
      ...NAMESPACED.map((directory) => at(`${directory}/${namespace}/${isShared ? OWN_NAME : ''}`)),
      ...customDirectories
        .filter((directory) => !isShared || directory.startsWith(`${OWN_GROUP}/`))
        .map((directory) => at(`${directory}/${namespace}/`)),
      ...CLUSTER_WIDE.map((directory) => at(`${directory}/${OWN_NAME}`)),
    ],
    keys: [
      at(`leases/${namespace}/${lease}`),
      ...OWN_RESOURCES.map((plural) =>
        at(`apiextensions.k8s.io/customresourcedefinitions/${plural}.${OWN_GROUP}`),
      ),
      at(`apiregistration.k8s.io/apiservices/v1alpha1.${OWN_GROUP}`),
      ...(asks === undefined ? [] : [at(`${OWN_GROUP}/etcdrestores/${asks.namespace}/${asks.name}`)]),
      ...(isShared ? [] : [at(`namespaces/${namespace}`)]),
    ],
    // A namespace that the EtcdRestore lies in holds at least the record of it.
    whereAbsent:
      asks === undefined || asks.namespace === namespace ? [] : [at(`namespaces/${asks.namespace}`)],
    ifLabelled: ROLES_FOR_PEOPLE.map((name) => at(`clusterroles/${name}`)),
  };
}

/** The keys that IPAddress objects of Services have, from Kubernetes 1.33 on. */
export function addressKeys(prefix: string, addresses: readonly string[]): string[] {
  return addresses.map((address) => `${prefix}/ipaddresses/${address}`);
}

/** Of these an object in our namespace says nothing that would still be true. */
const NOT_OURS: ReadonlySet<string> = new Set([
  // Of the moment; the one Lease that is ours has its own key.
  ...['events', 'leases', 'leasecandidates', 'podcertificaterequests'],
  // Bound to volumes and devices, which come back as they were.
  ...['persistentvolumeclaims', 'csistoragecapacities', 'resourceclaims', 'resourceclaimtemplates'],
]);

const NAMESPACED = [...BUILTIN_DIRECTORIES].flatMap(([directory, { namespaced }]) =>
  namespaced && !NOT_OURS.has(directory) ? [directory] : [],
);

const CLUSTER_WIDE = [
  'clusterroles',
  'clusterrolebindings',
  'mutatingwebhookconfigurations',
  'validatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'flowschemas',
  'prioritylevelconfigurations',
  'priorityclasses',
];

const OWN_RESOURCES = ['etcdbackups', 'etcdbackupschedules', 'etcdrestores'];
const ROLES_FOR_PEOPLE = ['etcd-admin', 'etcd-tenant-operator', 'etcd-viewer'];
const KUBERNETES_NAMESPACES: ReadonlySet<string> = new Set([
  'default',
  'kube-system',
  'kube-public',
  'kube-node-lease',
]);
