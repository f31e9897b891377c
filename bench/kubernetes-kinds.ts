/** A kind of object as a cluster's etcd has it. Shares and sizes are those of ordinary busy clusters. */
export interface Kind {
  /** Between `/registry/` and the namespace. */
  readonly path: string;
  readonly apiVersion: string;
  readonly kind: string;
  /** Share among objects that are created. */
  readonly created: number;
  /** Share among updates. */
  readonly updated: number;
  /** Share among deletions; those with a lease expire instead. */
  readonly deleted: number;
  /** Bytes of the value: median, spread (of the logarithm), largest. */
  readonly size: readonly [median: number, spread: number, largest: number];
  readonly encoding: 'protobuf' | 'json';
  /** Its content is random: certificates, tokens, compressed Helm releases. */
  readonly incompressible?: boolean;
  /** Lives as long as an etcd lease. */
  readonly leased?: boolean;
  readonly clusterScoped?: boolean;
}

export const KINDS: readonly Kind[] = [
  kind('events', 'v1', 'Event', [30, 8, 0], [980, 0.25, 4000], { leased: true }),
  kind('pods', 'v1', 'Pod', [16, 40, 24], [5200, 0.45, 120_000]),
  kind('replicasets', 'apps/v1', 'ReplicaSet', [12, 9, 8], [2600, 0.4, 60_000]),
  kind('secrets', 'v1', 'Secret', [7, 2, 2], [1500, 1.1, 1_000_000], { incompressible: true }),
  kind('configmaps', 'v1', 'ConfigMap', [7, 5, 3], [900, 1.35, 1_000_000]),
  kind('deployments', 'apps/v1', 'Deployment', [5, 8, 1], [3800, 0.4, 80_000]),
  kind('endpointslices', 'discovery.k8s.io/v1', 'EndpointSlice', [4, 8, 1], [1250, 0.6, 60_000]),
  kind('services/specs', 'v1', 'Service', [3, 1, 1], [950, 0.3, 8000]),
  kind('serviceaccounts', 'v1', 'ServiceAccount', [3, 0, 0], [330, 0.3, 4000]),
  kind('leases', 'coordination.k8s.io/v1', 'Lease', [2, 15, 0], [430, 0.15, 1200]),
  kind('minions', 'v1', 'Node', [0.3, 3, 0], [14_000, 0.3, 60_000], { clusterScoped: true }),
  kind('cert-manager.io/certificates', 'cert-manager.io/v1', 'Certificate', [4, 1, 0], [1900, 0.4, 20_000], {
    encoding: 'json',
  }),
  kind('argoproj.io/applications', 'argoproj.io/v1alpha1', 'Application', [2, 4, 0], [7500, 0.8, 400_000], {
    encoding: 'json',
  }),
];

/** Picks an index by weight: `table[random byte of 1024]`. */
export function pickTable(weights: readonly number[]): Uint8Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const table = new Uint8Array(1024);
  let reached = 0;
  let from = 0;
  for (const [index, weight] of weights.entries()) {
    reached += weight;
    const to = Math.round((reached / total) * table.length);
    table.fill(index, from, to);
    from = to;
  }
  return table;
}

function kind(
  path: string,
  apiVersion: string,
  name: string,
  [created, updated, deleted]: readonly [number, number, number],
  size: Kind['size'],
  more: Partial<Kind> = {},
): Kind {
  return { path, apiVersion, kind: name, created, updated, deleted, size, encoding: 'protobuf', ...more };
}
