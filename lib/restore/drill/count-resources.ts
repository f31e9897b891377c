import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { DEFAULT_PREFIX, parseKey, resourceName } from '../../keyspace/parse-key.ts';

/** How many objects of one resource there are. */
export interface ResourceCount {
  /** As kubectl names it: `pods`, `widgets.example.com`; keys that are no objects by their beginning: `/calico/`. */
  readonly resource: string;
  readonly objects: number;
}

export interface ResourceCounts {
  /** By name. */
  readonly resources: readonly ResourceCount[];
  /** All keys, whatever they are. */
  readonly keys: bigint;
}

/**
 * Counts what is alive, by resource. etcd answers it from its index alone: the first key tells a directory, a count all
 * that is in it, and the next key is asked for behind it. Of no directory more than the first 10,000 are told apart.
 */
export async function countResources(client: EtcdClient, signal?: AbortSignal): Promise<ResourceCounts> {
  const counts = new Map<string, bigint>();
  let keys = 0n;
  let from: Buffer = Buffer.from([0]);
  for (let directories = 0; directories < MOST_DIRECTORIES; directories++) {
    const next = await client.range(from, { rangeEnd: END, limit: 1, keysOnly: true, signal });
    const [first] = next.kvs;
    if (first === undefined) break;
    const { name, prefix } = directoryOf(first.key);
    const end = endOf(prefix);
    const { count } = await client.range(prefix, { rangeEnd: end, countOnly: true, signal });
    counts.set(name, (counts.get(name) ?? 0n) + count);
    keys += count;
    if (end.equals(END)) break;
    from = end;
  }
  const { count: all } = await client.range(Buffer.from([0]), { rangeEnd: END, countOnly: true, signal });
  if (all > keys) counts.set(OTHERS, all - keys);
  const resources = [...counts].map(([resource, objects]) => ({ resource, objects: Number(objects) }));
  return { resources: resources.sort((a, b) => (a.resource < b.resource ? -1 : 1)), keys: all };
}

/** Beyond every key, as a range's end. */
const END = Buffer.from([0]);
const MOST_DIRECTORIES = 10_000;
const OTHERS = '(others)';

interface Directory {
  readonly name: string;
  readonly prefix: Buffer;
}

/** The directory of Kubernetes that a key lies in; of other keys the first segment, behind the prefix where it is there. */
function directoryOf(key: Buffer): Directory {
  const text = key.toString('latin1');
  const object = parseKey(text);
  if (object === undefined) {
    const slash = text.indexOf('/', text.startsWith(`${DEFAULT_PREFIX}/`) ? DEFAULT_PREFIX.length + 1 : 1);
    const prefix = slash < 0 ? text : text.slice(0, slash + 1);
    return { name: prefix.replaceAll(/[^\x21-\x7e]/g, '?'), prefix: Buffer.from(prefix, 'latin1') };
  }
  const below = text.slice(DEFAULT_PREFIX.length + 1).split('/');
  const segments = below.slice(0, object.namespace === undefined ? -1 : -2);
  const prefix = Buffer.from(`${DEFAULT_PREFIX}/${segments.join('/')}/`, 'latin1');
  return { name: resourceName(object), prefix };
}

/** The first key that doesn't begin so. */
export function endOf(prefix: Buffer): Buffer {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  if (last < 0) return END;
  const end = Buffer.from(prefix.subarray(0, last + 1));
  end[last] = (end[last] ?? 0) + 1;
  return end;
}
