import { GuardianError } from '../../lib/guardian-error.ts';
import { checkRange } from '../../lib/storage/byte-range.ts';
import type { ObjectStore, StoredObject } from '../../lib/storage/object-store.ts';
import { collectBytes } from './byte-stream.ts';

/** Everything that a store holds, by name, in order. */
export async function objectsOf(store: ObjectStore): Promise<Map<string, Buffer>> {
  const objects = new Map<string, Buffer>();
  for await (const { name } of store.list('')) objects.set(name, await collectBytes(store.get(name)));
  return objects;
}

/** A store that only reads, from memory: for tests that change one byte after the other, thousands of times. */
export function readOnlyStore(objects: ReadonlyMap<string, Buffer>): ObjectStore {
  const describe = (name: string): StoredObject => {
    const bytes = objects.get(name);
    if (bytes === undefined) throw new GuardianError('store.not-found', `no ${name}`);
    return { name, size: bytes.length, modifiedAt: new Date(0), version: '1' };
  };
  const readOnly = (): Promise<never> => Promise.reject(new Error('read-only'));
  return {
    location: 'memory:',
    put: readOnly,
    putIfAbsent: readOnly,
    get: async function* (name, { range, onOpen } = {}) {
      const object = describe(name);
      const { from, to } = checkRange(range, object, 'memory:');
      onOpen?.(object);
      yield await Promise.resolve(objects.get(name)?.subarray(from, to) ?? Buffer.alloc(0));
    },
    stat: (name) => Promise.resolve(describe(name)),
    list: async function* (prefix, { after = '' } = {}) {
      for (const name of [...objects.keys()].sort()) {
        if (name.startsWith(prefix) && name > after) yield await Promise.resolve(describe(name));
      }
    },
    delete: readOnly,
    sweepStaleUploads: readOnly,
  };
}
