import type { KubeClient, KubeObject, KubeResource } from '../../lib/kubernetes/kube-client.ts';

export interface ListAllOptions {
  /** Left out: in all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly signal: AbortSignal;
}

/** All objects, page by page. Rejects with the client's errors. */
export async function listAll<T extends KubeObject>(
  client: KubeClient,
  resource: KubeResource,
  options: ListAllOptions,
): Promise<T[]> {
  const all: T[] = [];
  let next: string | undefined;
  do {
    const page = await client.list<T>(resource, { ...options, limit: 500, continue: next });
    all.push(...page.items);
    next = page.metadata.continue === '' ? undefined : page.metadata.continue;
  } while (next !== undefined);
  return all;
}

/** The newest first. */
export function newestFirst<T extends KubeObject>(objects: readonly T[]): T[] {
  const made = ({ metadata }: T): string => metadata.creationTimestamp ?? '';
  return objects.toSorted(
    (a, b) => made(b).localeCompare(made(a)) || a.metadata.name.localeCompare(b.metadata.name),
  );
}
