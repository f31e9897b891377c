import { directoryOf } from '../../keyspace/resource-directory.ts';
import type { AccessAttributes } from '../access-review.ts';
import type { ServedResource } from '../discovery.ts';
import { inParallel } from '../in-parallel.ts';
import { resourceName } from '../resource-path.ts';

/** What may be read of one namespace. */
export interface NamespaceExport {
  readonly namespace: string;
  readonly directories: readonly string[];
  /** Also the Namespace itself. */
  readonly namespaceObject: boolean;
}

export interface ExportedResource {
  /** As kubectl names it. */
  readonly resource: string;
  /** Behind the prefix in etcd. */
  readonly directory: string;
  readonly served: ServedResource;
}

/** Something that is left out, in words. */
export interface Omission {
  readonly resource: string;
  /** The first of them; undefined: all. */
  readonly namespaces?: string[] | undefined;
  readonly reason: string;
}

export interface ExportScope {
  readonly namespaces: readonly NamespaceExport[];
  readonly resources: readonly ExportedResource[];
  readonly omitted: readonly Omission[];
}

export interface ExportQuestions {
  /** Whether the requester may do that, now. */
  readonly may: (attributes: AccessAttributes) => Promise<boolean>;
  /** All that the API server serves. */
  readonly served: readonly ServedResource[];
  /** `group/version`s whose server is another one, so that their objects aren't in this etcd. */
  readonly elsewhere: ReadonlySet<string>;
  /** `group/version`s that could not be asked. */
  readonly unknown: readonly string[];
  /** Who asks, for people. */
  readonly who: string;
}

/**
 * What of these namespaces goes into a backup: every kind that can be listed and created, as far as the requester may
 * list it there, and why the others don't. Rights are asked for one by one, first for all namespaces at once. Rejects
 * with what `may` rejects with.
 */
export async function exportScope(
  namespaces: readonly string[],
  questions: ExportQuestions,
): Promise<ExportScope> {
  const { served, may, unknown } = questions;
  const { resources, omitted } = exportable(served, questions);
  const allowed = await inParallel(AT_ONCE, resources, async ({ served: { group, plural } }) =>
    (await may({ verb: 'list', group, resource: plural })) ? 'everywhere' : await perNamespace(group, plural),
  );
  async function perNamespace(group: string, resource: string): Promise<ReadonlySet<string>> {
    const found = await inParallel(AT_ONCE, namespaces, (namespace) =>
      may({ verb: 'list', group, resource, namespace }),
    );
    return new Set(namespaces.filter((_, at) => found[at] === true));
  }
  const objects = await inParallel(AT_ONCE, namespaces, (namespace) =>
    may({ verb: 'get', group: '', resource: 'namespaces', name: namespace }),
  );
  const isAllowed = (at: number, namespace: string): boolean => {
    const where = allowed[at];
    return where === 'everywhere' || where?.has(namespace) === true;
  };
  const denied = resources.flatMap(({ resource }, at) =>
    denial(resource, namespaces, (namespace) => isAllowed(at, namespace), `${questions.who} may not list it`),
  );
  const hidden = denial(
    'namespaces',
    namespaces,
    (namespace) => objects[namespaces.indexOf(namespace)] === true,
    `${questions.who} may not get it: labels and annotations of the namespace are left out`,
  );
  return {
    namespaces: namespaces.map((namespace, number) => ({
      namespace,
      directories: resources.filter((_, at) => isAllowed(at, namespace)).map(({ directory }) => directory),
      namespaceObject: objects[number] === true,
    })),
    resources: resources.filter((_, at) => namespaces.some((namespace) => isAllowed(at, namespace))),
    omitted: [
      ...omitted,
      ...unknown.map((version) => ({ resource: version, reason: 'its API server could not be asked' })),
      ...denied,
      ...hidden,
    ],
  };
}

/** Kinds that are never backed up, and why. */
const NEVER: ReadonlyMap<string, string> = new Map([
  ['events', 'of the moment; etcd keeps them for an hour'],
  ['leases.coordination.k8s.io', 'of the moment: who leads now'],
  ['leasecandidates.coordination.k8s.io', 'of the moment: who may lead'],
  ['endpoints', 'Kubernetes makes them anew from Services'],
  ['endpointslices.discovery.k8s.io', 'Kubernetes makes them anew from Services'],
  ['csistoragecapacities.storage.k8s.io', 'drivers tell it anew'],
  ['etcdbackups.etcdguardian.io', 'brought back it would run again'],
  ['etcdrestores.etcdguardian.io', 'brought back it would run again'],
]);

export function isNeverExported(resource: string): boolean {
  return NEVER.has(resource);
}

function exportable(
  served: readonly ServedResource[],
  { elsewhere }: ExportQuestions,
): { resources: ExportedResource[]; omitted: Omission[] } {
  const byDirectory = new Map<string, ExportedResource>();
  const omitted = new Map<string, Omission>();
  for (const one of [...served].sort(preferredFirst)) {
    const { group, version, namespaced, verbs } = one;
    if (!namespaced || !['get', 'list', 'create'].every((verb) => verbs.includes(verb))) continue;
    const resource = resourceName(one);
    const directory = directoryOf(one);
    const isEvent = resource.split('.', 1)[0] === 'events' && directory === 'events';
    const never = NEVER.get(isEvent ? 'events' : resource);
    if (never !== undefined) {
      const name = isEvent ? 'events' : resource;
      omitted.set(name, { resource: name, reason: never });
    } else if (elsewhere.has(`${group}/${version}`)) {
      const reason = 'another API server keeps it, not this etcd';
      omitted.set(resource, { resource, reason });
    } else if (!byDirectory.has(directory)) byDirectory.set(directory, { resource, directory, served: one });
  }
  const resources = [...byDirectory.values()].sort((a, b) => (a.resource < b.resource ? -1 : 1));
  return { resources, omitted: [...omitted.values()] };
}

function preferredFirst(a: ServedResource, b: ServedResource): number {
  return Number(b.preferred) - Number(a.preferred);
}

/** Questions at the same time. */
const AT_ONCE = 16;
const MOST_NAMED = 20;

function denial(
  resource: string,
  namespaces: readonly string[],
  isAllowed: (namespace: string) => boolean,
  reason: string,
): Omission[] {
  const denied = namespaces.filter((namespace) => !isAllowed(namespace));
  if (denied.length === 0) return [];
  if (denied.length === namespaces.length) return [{ resource, reason }];
  const more = denied.length > MOST_NAMED ? `, nor in ${denied.length - MOST_NAMED} more namespaces` : '';
  return [{ resource, namespaces: denied.slice(0, MOST_NAMED), reason: reason + more }];
}
