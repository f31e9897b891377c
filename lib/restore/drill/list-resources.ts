import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { GuardianError } from '../../guardian-error.ts';
import type { ApiAnswer, DrillApiClient } from './drill-api-client.ts';

/** What an API server can list. */
export interface ListedResources {
  /** One for each resource type that it keeps in etcd; `problem`: why it can't be listed. */
  readonly resources: readonly ListedResource[];
  /** API groups that other servers answer for, whose data is not in this etcd: `metrics.k8s.io/v1beta1`. */
  readonly elsewhere: readonly string[];
}

export interface ListedResource extends ServedResource {
  readonly objects: number | undefined;
  readonly problem: string | undefined;
}

/** A resource type, and where it is listed. */
export interface ServedResource {
  /** As kubectl names it: `pods`, `deployments.apps`. */
  readonly resource: string;
  readonly plural: string;
  readonly group: string;
  readonly namespaced: boolean;
  /** `/api/v1`, `/apis/apps/v1`; the preferred version first. */
  readonly roots: readonly string[];
}

/** Every resource type that the server keeps in etcd and can list. Rejects with `drill.api-server`. */
export async function servedResources(
  client: DrillApiClient,
  signal?: AbortSignal,
): Promise<{ readonly served: readonly ServedResource[]; readonly elsewhere: readonly string[] }> {
  const elsewhere = await aggregatedGroups(client, signal);
  const { groups } = parsed(groupList, await client.get('/apis', { signal }), '/apis');
  const versions = [
    { group: '', root: '/api/v1' },
    ...groups.flatMap(({ name, preferredVersion, versions: all }) => {
      const preferred = preferredVersion.groupVersion;
      const others = all.map(({ groupVersion }) => groupVersion).filter((one) => one !== preferred);
      return [preferred, ...others]
        .filter((one) => !elsewhere.includes(one))
        .map((one) => ({ group: name, root: `/apis/${one}` }));
    }),
  ];
  const found = new Map<string, ServedResource & { readonly roots: string[] }>();
  for (const { group, root } of versions) {
    for (const { name: plural, namespaced, verbs } of await resourcesOf(client, root, signal)) {
      if (!verbs.includes('list') || plural.includes('/')) continue;
      const resource = group === '' ? plural : `${plural}.${group}`;
      const known = found.get(resource);
      if (known === undefined) found.set(resource, { resource, plural, group, namespaced, roots: [root] });
      else known.roots.push(root);
    }
  }
  return { served: [...found.values()], elsewhere };
}

/**
 * Lists each resource type: 500 objects of it are read out of etcd and decoded, the rest is counted. A version of a
 * custom resource that only its own webhook can convert to is passed over for the one that is stored.
 */
export async function listResources(client: DrillApiClient, signal?: AbortSignal): Promise<ListedResources> {
  const { served, elsewhere } = await servedResources(client, signal);
  const resources: ListedResource[] = [];
  for (const one of served) resources.push({ ...one, ...(await listOne(client, one, signal)) });
  return { resources, elsewhere };
}

/** Metadata is all that is sent; the server decodes the objects all the same. */
const METADATA_ONLY = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const PAGE = 500;

async function listOne(
  client: DrillApiClient,
  { plural, roots }: ServedResource,
  signal: AbortSignal | undefined,
): Promise<Pick<ListedResource, 'objects' | 'problem'>> {
  let problem: string | undefined;
  for (const root of roots) {
    const answer = await client.get(`${root}/${plural}?limit=${PAGE}`, { accept: METADATA_ONLY, signal });
    const list = answer.status === 200 ? objectList.safeParse(answer.json) : undefined;
    if (list?.success === true) {
      return {
        objects: list.data.items.length + (list.data.metadata.remainingItemCount ?? 0),
        problem: undefined,
      };
    }
    problem ??= `${answer.status} ${answer.message.slice(0, 300)}`;
  }
  return { objects: undefined, problem };
}

const groupVersion = z.object({ groupVersion: z.string() });
const groupList = z.object({
  groups: z.array(
    z.object({ name: z.string(), preferredVersion: groupVersion, versions: z.array(groupVersion) }),
  ),
});
const resourceList = z.object({
  resources: z.array(
    z.object({ name: z.string(), namespaced: z.boolean(), verbs: z.array(z.string()).default([]) }),
  ),
});
const objectList = z.object({
  metadata: z.object({ remainingItemCount: z.int().optional() }).default({}),
  items: z
    .array(z.unknown())
    .nullable()
    .transform((items) => items ?? []),
});
const apiServices = z.object({
  items: z.array(
    z.object({
      spec: z.object({ group: z.string().default(''), version: z.string(), service: z.unknown().optional() }),
    }),
  ),
});

async function aggregatedGroups(client: DrillApiClient, signal: AbortSignal | undefined): Promise<string[]> {
  const path = '/apis/apiregistration.k8s.io/v1/apiservices';
  const { items } = parsed(apiServices, await client.get(path, { signal }), path);
  return items
    .filter(({ spec }) => spec.service !== undefined && spec.service !== null)
    .map(({ spec }) => `${spec.group}/${spec.version}`);
}

/** A custom resource's API comes a moment after the server is ready. */
const LATE_MS = 30_000;
const LOOK_MS = 200;

async function resourcesOf(
  client: DrillApiClient,
  root: string,
  signal: AbortSignal | undefined,
): Promise<z.output<typeof resourceList>['resources']> {
  const deadline = performance.now() + LATE_MS;
  for (;;) {
    const answer = await client.get(root, { signal });
    const late = answer.status === 404 || answer.status === 503;
    if (!late || performance.now() > deadline) return parsed(resourceList, answer, root).resources;
    await delay(LOOK_MS, undefined, { signal });
  }
}

function parsed<Schema extends z.ZodType>(schema: Schema, answer: ApiAnswer, path: string): z.output<Schema> {
  const read = answer.status === 200 ? schema.safeParse(answer.json) : undefined;
  if (read?.success === true) return read.data;
  const why = read === undefined ? answer.message.slice(0, 300) : z.prettifyError(read.error);
  throw new GuardianError(
    'drill.api-server',
    `kube-apiserver is ready, but answers ${path} with ${answer.status}: ${why}`,
    { hint: "check that --kube-apiserver is of the cluster's own version" },
  );
}
