import { hasCode } from '../../guardian-error.ts';
import type { KubeClient, KubeList, KubeObject } from '../kube-client.ts';
import { collectionPath, queryText } from '../resource-path.ts';
import type { RestorableObject } from './stored-record.ts';

/** An object that is there already. */
export interface ExistingObject {
  readonly uid: string;
  readonly resourceVersion: string;
  /** The restore that made it; undefined: none did. */
  readonly restoredBy: string | undefined;
}

/** On what a restore made: its uid, so that the same restore, begun again, knows it. */
export const RESTORE_ANNOTATION = 'etcdguardian.io/restored-by';

/**
 * Which of these objects are there, by their keys, as far as the client's user may list their kinds. Rejects with the
 * client's errors, but for those that say that this user may not: then nothing of that kind is known.
 */
export async function findExisting(
  client: KubeClient,
  objects: readonly RestorableObject[],
  signal: AbortSignal,
): Promise<Map<string, ExistingObject>> {
  const byCollection = new Map<string, RestorableObject[]>();
  for (const object of objects) {
    if (object.namespace === undefined) continue;
    const path = collectionPath(object.served, object.namespace);
    const group = byCollection.get(path);
    if (group === undefined) byCollection.set(path, [object]);
    else group.push(object);
  }
  const existing = new Map<string, ExistingObject>();
  const queue = byCollection.entries();
  const worker = async (): Promise<void> => {
    for (const [path, group] of queue) {
      const keyOf = new Map(group.map(({ name, key }) => [name, key]));
      for await (const { metadata } of listed(client, path, signal)) {
        const key = keyOf.get(metadata.name);
        if (key !== undefined) existing.set(key, existingOf(metadata));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, byCollection.size) }, worker));
  return existing;
}

export function existingOf({
  uid = '',
  resourceVersion = '',
  annotations,
}: KubeObject['metadata']): ExistingObject {
  return { uid, resourceVersion, restoredBy: annotations?.[RESTORE_ANNOTATION] };
}

const AT_ONCE = 8;
const PAGE = 500;
const METADATA_ONLY = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';

async function* listed(
  client: KubeClient,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<KubeObject, void> {
  let next: string | undefined;
  do {
    const query = queryText({ limit: PAGE, continue: next });
    try {
      const options = { signal, accept: METADATA_ONLY };
      const page = (await client.raw('GET', path + query, undefined, options)) as KubeList<KubeObject>;
      yield* Array.isArray(page.items) ? page.items : [];
      next = page.metadata.continue;
    } catch (error) {
      if (hasCode(error, 'kubernetes.forbidden')) return;
      throw error;
    }
  } while (next !== undefined && next !== '');
}
