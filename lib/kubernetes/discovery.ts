import { z } from 'zod';
import { GuardianError } from '../guardian-error.ts';
import type { KubeCallOptions, KubeClient, KubeResource } from './kube-client.ts';

/** A resource that the API server serves. */
export interface ServedResource extends KubeResource {
  readonly kind: string;
  readonly namespaced: boolean;
  /** E.g. `get`, `list`, `watch`, `create`. */
  readonly verbs: readonly string[];
  /** E.g. `status`, `scale`. */
  readonly subresources: readonly string[];
  /** Whether the server prefers this version to the group's others. */
  readonly preferred: boolean;
}

export interface Discovered {
  readonly resources: readonly ServedResource[];
  /** `group/version`s whose own server, an aggregated one, could not be asked: what they have isn't in `resources`. */
  readonly unknown: readonly string[];
}

export interface Discovery {
  /** As the API server serves them now, or did less than a while ago. Rejects with the client's errors. */
  get(options?: KubeCallOptions): Promise<Discovered>;
  /** The next `get` asks again, e.g. after a CRD has changed, or a resource was not found. */
  invalidate(): void;
}

const AGGREGATED =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';

/** All resources by group and version; remembered for `lastsMs`, by default five minutes. */
export function discovery(
  client: KubeClient,
  {
    lastsMs = 300_000,
    monotonic = () => performance.now(),
  }: { lastsMs?: number; monotonic?: () => number } = {},
): Discovery {
  let known: { readonly atMs: number; readonly found: Promise<Discovered> } | undefined;
  return {
    async get({ signal } = {}) {
      if (known === undefined || monotonic() - known.atMs >= lastsMs) {
        // Without the signal: others may wait for the same answer.
        const current = { atMs: monotonic(), found: discover(client) };
        known = current;
        current.found.catch(() => {
          if (known === current) known = undefined;
        });
      }
      const found = await known.found;
      signal?.throwIfAborted();
      return found;
    },
    invalidate() {
      known = undefined;
    },
  };
}

async function discover(client: KubeClient): Promise<Discovered> {
  const [core, groups] = await Promise.all(
    ['/api', '/apis'].map((path) => client.raw('GET', path, undefined, { accept: AGGREGATED })),
  );
  const aggregated = [core, groups].map((answer) => aggregatedList.safeParse(answer));
  const lists = aggregated.map(({ data }) => data);
  if (lists.every((list) => list !== undefined)) return fromAggregated(lists.flatMap(({ items }) => items));
  return await oneByOne(client, read(versionList, core, '/api'), read(groupList, groups, '/apis'));
}

const aggregatedList = z.object({
  kind: z.literal('APIGroupDiscoveryList'),
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string().default('') }).default({ name: '' }),
      versions: z
        .array(
          z.object({
            version: z.string(),
            freshness: z.string().optional(),
            resources: z
              .array(
                z.object({
                  resource: z.string(),
                  responseKind: z.object({ kind: z.string().default('') }).optional(),
                  scope: z.string().default('Namespaced'),
                  verbs: z.array(z.string()).default([]),
                  subresources: z.array(z.object({ subresource: z.string() })).default([]),
                }),
              )
              .default([]),
          }),
        )
        .default([]),
    }),
  ),
});

function fromAggregated(groups: z.infer<typeof aggregatedList>['items']): Discovered {
  const unknown: string[] = [];
  const resources = groups.flatMap(({ metadata: { name: group }, versions }) =>
    versions.flatMap(({ version, freshness, resources: served }, index) => {
      if (freshness === 'Stale') unknown.push(`${group}/${version}`);
      return served.map(({ resource, responseKind, scope, verbs, subresources }) => ({
        ...{ group, version, plural: resource, kind: responseKind?.kind ?? '', verbs },
        ...{ namespaced: scope === 'Namespaced', preferred: index === 0 },
        subresources: subresources.map(({ subresource }) => subresource),
      }));
    }),
  );
  return { resources, unknown };
}

const versionList = z.object({ versions: z.array(z.string()) });
const groupList = z.object({
  groups: z.array(
    z.object({
      name: z.string(),
      versions: z.array(z.object({ version: z.string() })),
      preferredVersion: z.object({ version: z.string() }).optional(),
    }),
  ),
});
const resourceList = z.object({
  resources: z
    .array(
      z.object({
        name: z.string(),
        kind: z.string(),
        namespaced: z.boolean().default(false),
        verbs: z.array(z.string()).default([]),
      }),
    )
    .default([]),
});

/** As API servers before 1.26 want it: two dozen small requests. */
async function oneByOne(
  client: KubeClient,
  core: z.infer<typeof versionList>,
  { groups }: z.infer<typeof groupList>,
): Promise<Discovered> {
  const wanted = [
    ...core.versions.map((version) => ({ group: '', version, preferred: true })),
    ...groups.flatMap(({ name, versions, preferredVersion }) =>
      versions.map(({ version }) => ({
        group: name,
        version,
        preferred: version === preferredVersion?.version,
      })),
    ),
  ];
  const unknown: string[] = [];
  const lists = await Promise.all(
    wanted.map(async ({ group, version, preferred }) => {
      const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
      try {
        const { resources } = read(resourceList, await client.raw('GET', path), path);
        return resources
          .filter(({ name }) => !name.includes('/'))
          .map(({ name, kind, namespaced, verbs }) => ({
            ...{ group, version, plural: name, kind, namespaced, verbs, preferred },
            subresources: resources
              .filter((other) => other.name.startsWith(`${name}/`))
              .map((other) => other.name.slice(name.length + 1)),
          }));
      } catch (error) {
        if (!(error instanceof GuardianError)) throw error;
        unknown.push(`${group}/${version}`);
        return [];
      }
    }),
  );
  return { resources: lists.flat(), unknown };
}

function read<T>(schema: z.ZodType<T>, answer: unknown, path: string): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new GuardianError('kubernetes.refused', `GET ${path}: ${z.prettifyError(parsed.error)}`, {
    cause: parsed.error,
  });
}
