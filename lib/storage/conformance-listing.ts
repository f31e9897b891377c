import assert from 'node:assert/strict';
import { collect } from './conformance-bytes.ts';
import { rejectsWith } from './conformance-writing.ts';
import type { Rules } from './conformance-rules.ts';
import type { ListOptions, ObjectStore } from './object-store.ts';

/** Sorted by bytes, which is neither by folder nor by locale. */
const SORTED = [
  'A',
  'Z/z',
  '_',
  'a-b',
  'a.b/c',
  'a/b',
  'a/b-c',
  'a/b.c',
  'a/b0',
  'a0/c',
  'b/c-d',
  'b/c/d/e',
  'b/c/d/f',
  'b/c0',
];

const HOSTILE = [
  '',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../../b',
  'a\0b',
  'a b',
  'a\\..\\b',
  '.uploads/x',
];

export const listingRules: Rules = {
  'an empty store lists nothing': async (store) => {
    assert.deepEqual(await names(store, ''), []);
    assert.deepEqual(await names(store, 'a/b'), []);
  },

  'names come in bytewise order, with size, time and version': async (store) => {
    for (const name of SORTED.toReversed()) await store.putIfAbsent(name, Buffer.from(name));
    assert.deepEqual(await names(store, ''), SORTED);
    for await (const object of store.list('')) assert.deepEqual(object, await store.stat(object.name));
  },

  'a prefix is a beginning of names, not a folder': async (store) => {
    for (const name of SORTED) await store.putIfAbsent(name, Buffer.alloc(0));
    for (const prefix of [
      'a',
      'a/',
      'a/b',
      'a/b-',
      'a.',
      'b/c',
      'b/c/',
      'b/c/d/e',
      'b/c/d/e0',
      'Z/zz',
      'x/',
      '.',
    ]) {
      const expected = SORTED.filter((name) => name.startsWith(prefix));
      assert.deepEqual(await names(store, prefix), expected, prefix);
    }
  },

  'a list goes on after a name, whether that exists or not': async (store) => {
    for (const name of SORTED) await store.putIfAbsent(name, Buffer.alloc(0));
    for (const after of [...SORTED, 'a', 'a/', 'a/b/c', 'b/c', 'b/c/d', 'zzz', '0']) {
      for (const prefix of ['', 'a', 'b/c']) {
        const expected = SORTED.filter((name) => name.startsWith(prefix) && name > after);
        assert.deepEqual(await names(store, prefix, { after }), expected, `${prefix} after ${after}`);
      }
    }
  },

  'more than a thousand objects are listed whole, in order, and a reader may stop early': async (store) => {
    const all = Array.from({ length: 1_020 }, (_, index) => `many/${String(index * 7919).padStart(8, '0')}`);
    const waiting = [...all];
    const writer = async (): Promise<void> => {
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
        await store.putIfAbsent(name, Buffer.from('x'));
      }
    };
    await Promise.all(Array.from({ length: 16 }, writer));
    assert.deepEqual(await names(store, 'many/'), all.sort());
    for await (const { name } of store.list('many/')) {
      assert.equal(name, all[0]);
      break;
    }
  },

  'names that could leave the prefix are refused by every method': async (store) => {
    async function* nothing(): AsyncGenerator<Uint8Array, void> {
      await Promise.resolve();
      yield Buffer.alloc(0);
    }
    for (const name of HOSTILE) {
      await rejectsWith('store.name', store.put(name, nothing()));
      await rejectsWith('store.name', store.putIfAbsent(name, Buffer.alloc(0)));
      await rejectsWith('store.name', collect(store.get(name)));
      await rejectsWith('store.name', store.stat(name));
      await rejectsWith('store.name', store.delete(name));
    }
    for (const prefix of ['/', '../', 'a/../../', 'a//', 'a\0']) {
      await rejectsWith('store.name', names(store, prefix));
    }
    assert.deepEqual(await names(store, ''), []);
  },

  'an aborted signal stops every method with its reason': async (store) => {
    await store.putIfAbsent('there', Buffer.from('x'));
    const reason = new Error('not now');
    const options = { signal: AbortSignal.abort(reason) };
    async function* body(): AsyncGenerator<Uint8Array, void> {
      await Promise.resolve();
      yield Buffer.from('x');
    }
    const calls: (() => Promise<unknown>)[] = [
      () => store.put('new', body(), options),
      () => store.putIfAbsent('new', Buffer.from('x'), options),
      () => collect(store.get('there', options)),
      () => store.stat('there', options),
      () => names(store, '', options),
      () => store.delete('there', options),
      () => store.sweepStaleUploads(new Date(), options),
    ];
    for (const call of calls) await assert.rejects(call, (error) => error === reason);
    assert.deepEqual(await names(store, ''), ['there']);
  },
};

async function names(store: ObjectStore, prefix: string, options: ListOptions = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const object of store.list(prefix, options)) found.push(object.name);
  return found;
}
