import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '../guardian-error.ts';
import { collect, digest, MIB, randomBody, randomBytes, stampedBody } from './conformance-bytes.ts';
import type { Rules } from './conformance-rules.ts';
import type { ObjectStore } from './object-store.ts';

/** The default first part of an upload in parts; see part-size.ts. */
const PART = 8 * MIB;
const PAST = new Date('2020-01-01T00:00:00Z');
const FUTURE = new Date('2100-01-01T00:00:00Z');
const RACERS = 20;
const SWEEPS_MS = 180_000;

export const writingRules: Rules = {
  'objects of every size around a part keep every byte': async (store) => {
    for (const size of [0, 1, 65_537, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1]) {
      const name = `sizes/${size}`;
      const stored = await store.put(name, randomBody(name, size));
      assert.equal(stored.name, name);
      assert.equal(stored.size, size);
      assert.deepEqual(await digest(store.get(name)), await digest(randomBody(name, size)), name);
      assert.equal((await store.stat(name)).version, stored.version, 'put and stat agree on the version');
    }
  },

  'a body of tiny and of empty chunks keeps every byte': async (store) => {
    const bytes = await randomBytes('tiny', 5_000);
    await store.put('tiny', slices(bytes, [0, 1, 2, 0, 3, 5, 7, 0]));
    assert.deepEqual(await collect(store.get('tiny')), bytes);
  },

  '104 MiB stream through bounded memory': async (store) => {
    const size = 104 * MIB;
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const watched = watch(stampedBody(size), () => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    });
    await store.put('large', watched);
    assert.ok(most < 64 * MIB, `buffers grew by ${Math.round(most / MIB)} MiB`);
    assert.deepEqual(await digest(store.get('large')), await digest(stampedBody(size)));
  },

  'a body that throws leaves nothing visible, and its very error is rethrown': async (store) => {
    for (const size of [0, 1, PART + 1, 3 * PART]) {
      const failure = new Error(`broke after ${size}`);
      await assert.rejects(store.put('broken', failing(size, failure)), (error) => error === failure);
      await assertAbsent(store, 'broken');
    }
    assert.equal(await store.sweepStaleUploads(FUTURE), 0, 'an upload that failed cleans up by itself');
  },

  'an abort stops a silent body with the very reason and leaves nothing visible': async (store) => {
    for (const size of [0, 1, PART + 1, 3 * PART]) {
      const controller = new AbortController();
      const reason = new Error(`aborted after ${size}`);
      const body = silentAfter(size, () => {
        controller.abort(reason);
      });
      await assert.rejects(
        store.put('aborted', body, { signal: controller.signal }),
        (error) => error === reason,
      );
      await assertAbsent(store, 'aborted');
    }
    assert.equal(await store.sweepStaleUploads(FUTURE), 0, 'an upload that was aborted cleans up by itself');
  },

  'a taken name is refused with store.exists and keeps its bytes': async (store) => {
    const first = await randomBytes('first', 100);
    await store.put('taken', slices(first, [100]));
    const second = await randomBytes('second', 50);
    await rejectsWith('store.exists', store.put('taken', slices(second, [50])));
    await rejectsWith('store.exists', store.put('taken', randomBody('large second', PART + 5)));
    await rejectsWith('store.exists', store.putIfAbsent('taken', second));
    assert.deepEqual(await collect(store.get('taken')), first);
    assert.equal(await store.sweepStaleUploads(FUTURE), 0);
  },

  'of twenty racing putIfAbsent exactly one wins, and its bytes are there': async (store) => {
    for (const round of ['one', 'two', 'three']) {
      const name = `race/${round}`;
      const bodies = Array.from({ length: RACERS }, (_, racer) => Buffer.from(`racer ${racer} of ${round}`));
      const winner = await soleWinner(bodies.map((body) => store.putIfAbsent(name, body)));
      assert.deepEqual(await collect(store.get(name)), bodies[winner]);
    }
  },

  'of racing puts to one name exactly one wins, and its bytes are there': async (store) => {
    const seeds = ['a', 'b', 'c', 'd'];
    const winner = await soleWinner(seeds.map((seed) => store.put('race', randomBody(seed, PART + 1000))));
    assert.deepEqual(
      await digest(store.get('race')),
      await digest(randomBody(seeds[winner] ?? '', PART + 1000)),
    );
  },

  'a deleted name can be written again and has another version': async (store) => {
    const first = await store.putIfAbsent('again', Buffer.from('same'));
    await store.delete('again');
    await assertAbsent(store, 'again');
    await store.delete('again');
    const second = await store.put('again', slices(Buffer.from('other'), [5]));
    assert.notEqual(second.version, first.version);
    assert.equal((await collect(store.get('again'))).toString(), 'other');
  },

  'deleting what was never there resolves': async (store) => {
    await store.delete('never');
    await store.delete('never/in/a/folder');
    await store.putIfAbsent('neighbour/here', Buffer.from('x'));
    await store.delete('neighbour/there');
    await store.delete('neighbour');
    assert.equal((await store.stat('neighbour/here')).size, 1);
  },

  'a sweep ends uploads begun before its time and no others': async (store) => {
    const midway = Promise.withResolvers<undefined>();
    const goOn = Promise.withResolvers<undefined>();
    const upload = store.put(
      'unfinished',
      pausing(3 * PART, () => {
        midway.resolve(undefined);
        return goOn.promise;
      }),
    );
    upload.catch(() => undefined);
    await Promise.race([midway.promise, upload]);
    await store.putIfAbsent('finished', Buffer.from('x'));
    assert.equal(await store.sweepStaleUploads(PAST), 0);
    await assertAbsent(store, 'unfinished');
    // The upload may begin at the store a moment later than it was asked for. With a part under way an S3 server may fail
    // to end it, or the part still arrives: then it's swept again.
    const deadline = Date.now() + SWEEPS_MS;
    for (let [swept, left] = [0, 1]; swept === 0 || left > 0; swept += left) {
      assert.ok(Date.now() < deadline, `${swept} were swept, and ${left} are left after ${SWEEPS_MS} ms`);
      await delay(5);
      left = await store.sweepStaleUploads(FUTURE).catch(() => 1);
    }
    goOn.resolve(undefined);
    // Servers answer for an upload that was ended under a part with an error of their own, too.
    await assert.rejects(
      upload,
      (error) => hasCode(error, 'store.upload-lost') || hasCode(error, 'store.busy'),
    );
    await assertAbsent(store, 'unfinished');
    assert.equal((await store.stat('finished')).size, 1);
  },
};

export async function rejectsWith(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(hasCode(error, code), `${code} expected, got ${String(error)}`);
    return true;
  });
}

export async function assertAbsent(store: ObjectStore, name: string): Promise<void> {
  await rejectsWith('store.not-found', store.stat(name));
  await rejectsWith('store.not-found', collect(store.get(name)));
  for await (const object of store.list(name)) assert.notEqual(object.name, name);
}

/** The index of the one that resolved; the others were refused with `store.exists`. */
async function soleWinner(racers: Promise<unknown>[]): Promise<number> {
  const results = await Promise.allSettled(racers);
  for (const result of results) {
    if (result.status === 'rejected')
      assert.ok(hasCode(result.reason, 'store.exists'), String(result.reason));
  }
  const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
  assert.equal(winners.length, 1);
  return winners[0] ?? -1;
}

async function* slices(bytes: Buffer, lengths: readonly number[]): AsyncGenerator<Buffer, void> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = lengths[turn % lengths.length] ?? 1;
    await Promise.resolve();
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

async function* watch(body: AsyncIterable<Buffer>, look: () => void): AsyncGenerator<Buffer, void> {
  for await (const chunk of body) {
    look();
    yield chunk;
  }
}

async function* failing(size: number, failure: Error): AsyncGenerator<Buffer, void> {
  yield* randomBody('failing', size);
  throw failure;
}

/** A body that gives `size` bytes, tells so, and then never anything again. */
async function* silentAfter(size: number, told: () => void): AsyncGenerator<Buffer, void> {
  yield* randomBody('silent', size);
  setImmediate(told);
  await new Promise(() => undefined);
}

async function* pausing(size: number, pause: () => Promise<unknown>): AsyncGenerator<Buffer, void> {
  yield* randomBody('pausing', size);
  await pause();
  yield Buffer.from('the last bytes');
}
