import { hasCode } from '../guardian-error.ts';
import { createBackoff } from './backoff.ts';
import type { KubeClient, KubeList, KubeObject, KubeResource } from './kube-client.ts';
import { keyOf } from './object-key.ts';

export type Change = 'added' | 'changed' | 'deleted';

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: KubeResource;
  /** Left out: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Called after the copy has changed, for the first list too. Must not throw. */
  readonly onChange?: ((key: string, change: Change) => void) | undefined;
  /** What went wrong, for logs; the reflector goes on by itself. */
  readonly onTrouble?: ((error: unknown) => void) | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** What is kept of an object. Default: all but `metadata.managedFields`. */
  readonly transform?: ((object: T) => T) | undefined;
  readonly random?: () => number;
  /** The longest pause between two tries. Default 10 s. */
  readonly longestPauseMs?: number;
}

/** A copy of all objects of one kind, kept up to date until the signal aborts. */
export interface Reflector<T extends KubeObject> {
  get(key: string): T | undefined;
  /** In no order. */
  list(): T[];
  readonly size: number;
  /** Resolves when the first list is in; rejects with the signal's reason if that comes before. */
  readonly synced: Promise<void>;
  /** Resolves when it has ended, after the signal. */
  readonly ended: Promise<void>;
}

const PAGE = 500;
const FIRST_PAUSE_MS = 200;
/** A watch that lived so long, or told anything, was a good one. */
const GOOD_MS = 5_000;

/**
 * Lists, then watches from there. A watch that ends goes on where it was; when that is too long ago (410), everything is
 * listed again, and what vanished meanwhile is told as deleted. Nothing ends it but the signal: neither a server that
 * restarts, nor refused credentials, nor a resource that isn't there yet.
 */
export function startReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector<T> {
  const { signal, transform = withoutManagedFields } = options;
  const objects = new Map<string, T>();
  const synced = Promise.withResolvers<undefined>();
  const tell = options.onChange ?? (() => undefined);

  const put = (object: T): void => {
    const key = keyOf(object);
    const known = objects.get(key);
    if (known !== undefined && isSame(known, object)) return;
    objects.set(key, transform(object));
    // Deleted and made again while nobody watched.
    if (known !== undefined && known.metadata.uid !== object.metadata.uid) tell(key, 'deleted');
    tell(key, known === undefined || known.metadata.uid !== object.metadata.uid ? 'added' : 'changed');
  };
  const remove = (key: string): void => {
    if (objects.delete(key)) tell(key, 'deleted');
  };

  /** Resolves to the resourceVersion that the copy is at. */
  const listAll = async (): Promise<string> => {
    const listed = new Set<string>();
    const at = await eachPage(options, (page) => {
      for (const object of page.items) {
        listed.add(keyOf(object));
        put(object);
      }
    });
    for (const key of [...objects.keys()]) if (!listed.has(key)) remove(key);
    return at;
  };

  const run = async (): Promise<void> => {
    const backoff = createBackoff({
      firstMs: FIRST_PAUSE_MS,
      longestMs: options.longestPauseMs ?? 10_000,
      random: options.random ?? Math.random,
    });
    let version: string | undefined;
    const isOver = (): boolean => signal.aborted;
    while (!isOver()) {
      const started = performance.now();
      try {
        if (version === undefined) {
          version = await listAll();
          synced.resolve(undefined);
        }
        const { client, resource, namespace, labelSelector, fieldSelector } = options;
        const selectors = { namespace, labelSelector, fieldSelector };
        for await (const event of client.watch<T>(resource, {
          ...selectors,
          resourceVersion: version,
          signal,
        })) {
          if (event.type === 'DELETED') remove(keyOf(event.object));
          else if (event.type !== 'BOOKMARK') put(event.object);
          version =
            event.type === 'BOOKMARK'
              ? event.resourceVersion
              : (event.object.metadata.resourceVersion ?? version);
          backoff.reset();
        }
      } catch (error) {
        if (isOver()) break;
        if (hasCode(error, 'kubernetes.gone')) version = undefined;
        else options.onTrouble?.(error);
      }
      if (performance.now() - started > GOOD_MS) backoff.reset();
      await backoff.pause(signal).catch(() => undefined);
    }
  };

  const ended = run().finally(() => {
    synced.reject(signal.reason);
  });
  synced.promise.catch(() => undefined);
  return {
    get: (key) => objects.get(key),
    list: () => [...objects.values()],
    get size() {
      return objects.size;
    },
    synced: synced.promise,
    ended,
  };
}

/** All pages of one consistent list, smaller ones where they are too large; resolves to its resourceVersion. */
async function eachPage<T extends KubeObject>(
  options: ReflectorOptions<T>,
  take: (page: KubeList<T>) => void,
): Promise<string> {
  const { client, resource, namespace, labelSelector, fieldSelector, signal } = options;
  let limit = PAGE;
  let next: string | undefined;
  for (;;) {
    try {
      const page: KubeList<T> = await client.list<T>(resource, {
        ...{ namespace, labelSelector, fieldSelector, signal, limit },
        continue: next,
      });
      take(page);
      next = page.metadata.continue;
      if (next === undefined || next === '') return page.metadata.resourceVersion;
    } catch (error) {
      if (!hasCode(error, 'kubernetes.too-large') || limit === 1) throw error;
      // The token stands for a place, not for a size.
      limit = Math.ceil(limit / 8);
    }
  }
}

function isSame(known: KubeObject, other: KubeObject): boolean {
  const { uid, resourceVersion } = known.metadata;
  return (
    resourceVersion !== undefined &&
    resourceVersion === other.metadata.resourceVersion &&
    uid === other.metadata.uid
  );
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (!('managedFields' in object.metadata)) return object;
  const metadata: Record<string, unknown> = { ...object.metadata };
  delete metadata.managedFields;
  return { ...object, metadata: metadata as unknown as T['metadata'] };
}
