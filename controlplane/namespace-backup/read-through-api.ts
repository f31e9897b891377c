import { hasCode } from '../../lib/guardian-error.ts';
import type { KubeClient, KubeObject } from '../../lib/kubernetes/kube-client.ts';
import type { ExportedResource, ExportScope, Omission } from '../../lib/kubernetes/export/export-scope.ts';
import { listKind } from '../../lib/kubernetes/export/list-kind.ts';
import { SERVICE_ACCOUNT_TOKEN, secretType } from '../../lib/keyspace/secret-type.ts';
import type { NamespaceResource } from '../../lib/repository/namespace-manifest.ts';
import type { PartRecord } from '../../lib/repository/part-records.ts';

export interface ApiReading {
  readonly scope: ExportScope;
  /** Directories to be read this way. */
  readonly directories: ReadonlySet<string>;
  readonly revision: bigint;
  readonly signal: AbortSignal;
  readonly onKind: (kind: ExportedResource, objects: number) => void;
}

export interface ReadKinds {
  /** How each kind was read; filled while `records` is. */
  readonly resources: NamespaceResource[];
  readonly omitted: Omission[];
  readonly records: AsyncIterable<PartRecord>;
}

/**
 * The kinds that etcd holds encrypted, by the API server that can decrypt them, with the rights of the client's user; at
 * the revision of everything else. Holds one kind at a time.
 */
export function readThroughApi(client: KubeClient, reading: ApiReading): ReadKinds {
  const resources: NamespaceResource[] = [];
  const omitted: Omission[] = [];
  return { resources, omitted, records: recordsOf(client, reading, resources, omitted) };
}

async function* recordsOf(
  client: KubeClient,
  { scope, directories, revision, signal, onKind }: ApiReading,
  resources: NamespaceResource[],
  omitted: Omission[],
): AsyncGenerator<PartRecord, void> {
  if (directories.has(NAMESPACES)) yield* namespaceObjects(client, scope, signal);
  for (const kind of scope.resources.filter(({ directory }) => directories.has(directory))) {
    const { resource, directory, served } = kind;
    const namespaces = scope.namespaces
      .filter((one) => one.directories.includes(directory))
      .map(({ namespace }) => namespace);
    const lossy: string[] = [];
    const listed = await listKind(client, {
      ...{ resource: served, namespaces, revision, signal },
      onLossy: (namespace, name) => lossy.push(`${namespace}/${name}`),
    });
    if (lossy.length > 0) omitted.push(lossyOmission(resource, lossy));
    const own = listed.revision === revision ? {} : { revision: listed.revision };
    resources.push({ resource, directory, part: 'api', ...own });
    if (listed.restarted !== undefined)
      omitted.push({
        resource,
        reason: `nothing is missing, but it is as it was at revision ${listed.revision}: ${listed.restarted}`,
      });
    for (const { namespace, name, json } of listed.objects) {
      if (directory === 'secrets' && secretType(json) === SERVICE_ACCOUNT_TOKEN) continue;
      yield { key: `${directory}/${namespace}/${name}`, value: json };
    }
    onKind(kind, listed.objects.length);
  }
}

const NAMESPACES = 'namespaces';

/** One by one: nobody needs to list all namespaces. They are as they are now. */
async function* namespaceObjects(
  client: KubeClient,
  scope: ExportScope,
  signal: AbortSignal,
): AsyncGenerator<PartRecord, void> {
  for (const { namespace: name, namespaceObject } of scope.namespaces) {
    if (!namespaceObject) continue;
    const resource = { group: '', version: 'v1', plural: NAMESPACES };
    try {
      const object = await client.get<KubeObject>({ resource, name }, { signal });
      const value = Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', ...object }));
      yield { key: `${NAMESPACES}/${name}`, value };
    } catch (error) {
      if (!hasCode(error, 'kubernetes.not-found')) throw error;
    }
  }
}

function lossyOmission(resource: string, names: readonly string[]): Omission {
  const shown = names.slice(0, 5).join(', ');
  return {
    resource,
    reason: `${names.length} objects with numbers beyond 2^53, which lists lose digits of: ${shown}`,
  };
}
