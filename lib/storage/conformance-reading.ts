import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { collect, digest, MIB, randomBody, randomBytes } from './conformance-bytes.ts';
import { rejectsWith } from './conformance-writing.ts';
import type { Rules } from './conformance-rules.ts';
import type { ByteRange, StoredObject } from './object-store.ts';

export const readingRules: Rules = {
  'stat and get tell size, time and version before the first byte': async (store) => {
    const begun = Date.now();
    await store.put('some/object', randomBody('some', 70_000));
    const object = await store.stat('some/object');
    assert.equal(object.name, 'some/object');
    assert.equal(object.size, 70_000);
    assert.ok(Math.abs(object.modifiedAt.getTime() - begun) < 60_000, object.modifiedAt.toISOString());
    const opened: StoredObject[] = [];
    const bytes = store.get('some/object', {
      onOpen: (told) => {
        opened.push(told);
      },
    });
    for await (const chunk of bytes) {
      assert.deepEqual(opened, [object]);
      assert.ok(chunk.length > 0);
    }
  },

  'a range gives exactly its bytes': async (store) => {
    const whole = await randomBytes('ranges', 300_000);
    await store.putIfAbsent('ranges', whole);
    const ranges: ByteRange[] = [
      { offset: 0 },
      { offset: 0, length: 1 },
      { offset: 1 },
      { offset: 299_999 },
      { offset: 299_999, length: 1 },
      { offset: 123, length: 200_000 },
      { offset: 0, length: 300_000 },
      { offset: 7, length: 0 },
      { offset: 300_000 },
      { offset: 300_000, length: 0 },
    ];
    for (const range of ranges) {
      const { offset, length } = range;
      const expected = whole.subarray(offset, length === undefined ? undefined : offset + length);
      assert.deepEqual(await collect(store.get('ranges', { range })), expected, JSON.stringify(range));
    }
  },

  'a range tells the whole object': async (store) => {
    const { version } = await store.putIfAbsent('whole', await randomBytes('whole', 1000));
    const told = Promise.withResolvers<StoredObject>();
    await collect(store.get('whole', { range: { offset: 10, length: 5 }, onOpen: told.resolve }));
    const object = await told.promise;
    assert.equal(object.size, 1000);
    assert.equal(object.version, version);
  },

  'a range that is not within the object is refused with store.range': async (store) => {
    await store.putIfAbsent('short', Buffer.alloc(100));
    await store.putIfAbsent('empty', Buffer.alloc(0));
    const ranges: ByteRange[] = [
      { offset: 101 },
      { offset: 100, length: 1 },
      { offset: 0, length: 101 },
      { offset: 99, length: 2 },
      { offset: -1 },
      { offset: -1, length: 1 },
      { offset: 0.5 },
      { offset: 3, length: -1 },
      { offset: 2 ** 53 },
    ];
    for (const range of ranges) await rejectsWith('store.range', collect(store.get('short', { range })));
    await rejectsWith('store.range', collect(store.get('empty', { range: { offset: 1 } })));
    await rejectsWith('store.range', collect(store.get('empty', { range: { offset: 0, length: 1 } })));
    assert.equal((await collect(store.get('empty', { range: { offset: 0 } }))).length, 0);
  },

  'a version that is gone is refused with store.changed': async (store) => {
    const first = await store.putIfAbsent('versioned', Buffer.from('one'));
    assert.equal((await collect(store.get('versioned', { version: first.version }))).toString(), 'one');
    await store.delete('versioned');
    await store.putIfAbsent('versioned', Buffer.from('two'));
    await rejectsWith('store.changed', collect(store.get('versioned', { version: first.version })));
    await rejectsWith(
      'store.changed',
      collect(store.get('versioned', { version: first.version, range: { offset: 1 } })),
    );
  },

  'what is not there is store.not-found': async (store) => {
    await store.putIfAbsent('folder/file', Buffer.from('x'));
    for (const name of ['absent', 'folder', 'folder/absent', 'folder/fil', 'folder/file2']) {
      await rejectsWith('store.not-found', store.stat(name));
      await rejectsWith('store.not-found', collect(store.get(name)));
      await rejectsWith('store.not-found', collect(store.get(name, { range: { offset: 5 } })));
    }
  },

  'a slow reader gets every byte, and keeps its chunks': async (store) => {
    await store.put('slow', randomBody('slow', 24 * MIB));
    const chunks: Uint8Array[] = [];
    for await (const chunk of store.get('slow')) {
      chunks.push(chunk);
      for (let turns = 0; turns < 3; turns += 1) await turn();
    }
    async function* kept(): AsyncGenerator<Uint8Array, void> {
      await turn();
      yield* chunks;
    }
    assert.deepEqual(await digest(kept()), await digest(randomBody('slow', 24 * MIB)));
  },

  'a reader may stop early, often': async (store) => {
    await store.put('left', randomBody('left', 9 * MIB));
    for (let round = 0; round < 60; round += 1) {
      for await (const chunk of store.get('left')) {
        assert.ok(chunk.length > 0);
        break;
      }
    }
    assert.equal((await digest(store.get('left'))).size, 9 * MIB);
  },

  'an abort stops a reader with the very reason': async (store) => {
    await store.put('stopped', randomBody('stopped', 24 * MIB));
    const controller = new AbortController();
    const reason = new Error('read enough');
    const reading = async (): Promise<void> => {
      for await (const chunk of store.get('stopped', { signal: controller.signal })) {
        if (chunk.length > 0) controller.abort(reason);
      }
    };
    await assert.rejects(reading, (error) => error === reason);
  },
};
