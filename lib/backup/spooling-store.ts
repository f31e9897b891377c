import type { ObjectStore } from '../storage/object-store.ts';
import { elasticBuffer, type ElasticBufferSettings } from './elastic-buffer.ts';

/**
 * A store whose `put` reads its body ahead of what the store takes, so that whoever produces the body is not held up
 * by a slow store until memory and spill space are used up. Everything else is `store`'s.
 */
export function spoolingStore(store: ObjectStore, settings: ElasticBufferSettings): ObjectStore {
  return {
    location: store.location,
    put: (name, body, options) => store.put(name, elasticBuffer(body, settings), options),
    putIfAbsent: (name, body, options) => store.putIfAbsent(name, body, options),
    get: (name, options) => store.get(name, options),
    stat: (name, options) => store.stat(name, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (name, options) => store.delete(name, options),
    sweepStaleUploads: (olderThan, options) => store.sweepStaleUploads(olderThan, options),
  };
}
