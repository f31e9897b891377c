import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { collect, MIB, randomBytes } from './conformance-bytes.ts';
import { rejectsWith } from './conformance-writing.ts';
import {
  anyOf,
  FaultInjectingStore,
  type FaultPlan,
  nthCall,
  randomFaults,
} from './fault-injecting-store.ts';
import { LocalStore } from './local-store.ts';
import { describeObjectStore } from './object-store.conformance.ts';
import type { StoredObject } from './object-store.ts';
import { RetryingStore } from './retrying-store.ts';
import { callRetries, type RetryPolicy } from './retry-policy.ts';

const atOnce: RetryPolicy = { ...callRetries, attempts: 12, sleep: () => Promise.resolve() };

interface Opened extends AsyncDisposable {
  readonly store: RetryingStore;
  readonly faulty: FaultInjectingStore;
  readonly local: LocalStore;
}

async function open(plan: FaultPlan): Promise<Opened> {
  const folder = await temporaryFolder();
  const local = new LocalStore(folder.path);
  const faulty = new FaultInjectingStore(local, plan);
  const store = new RetryingStore(faulty, atOnce);
  return { store, faulty, local, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

// Streamed puts are the store's to repeat, and a repeated sweep counts only what it found.
const random = seededRandom(1);
const trouble = randomFaults(() => random.next(), 0.2, [{ kind: 'refused' }, { kind: 'reply-lost' }]);
const spared: readonly string[] = ['put', 'sweepStaleUploads'];
describeObjectStore('a retrying store on a bad day', () =>
  open((operation, call, name) => (spared.includes(operation) ? undefined : trouble(operation, call, name))),
);

test('a reader goes on at the byte it had reached, and is told of the object once', async () => {
  const plan = anyOf(
    nthCall('get', 1, { kind: 'refused' }),
    nthCall('get', 2, { kind: 'cut', afterBytes: 0 }),
    nthCall('get', 3, { kind: 'cut', afterBytes: 1 }),
    nthCall('get', 4, { kind: 'cut', afterBytes: 700_001 }),
    nthCall('get', 5, { kind: 'reply-lost' }),
  );
  for (const range of [undefined, { offset: 5 }, { offset: 5, length: MIB }]) {
    await using opened = await open(plan);
    const bytes = await randomBytes('resumed', 2 * MIB);
    await opened.store.putIfAbsent('object', bytes);
    const told: StoredObject[] = [];
    const read = await collect(opened.store.get('object', { range, onOpen: (object) => told.push(object) }));
    const { offset, length } = { offset: 0, length: undefined, ...range };
    assert.deepEqual(read, bytes.subarray(offset, length === undefined ? undefined : offset + length));
    assert.equal(told.length, 1);
    assert.equal(told[0]?.size, 2 * MIB);
    assert.equal(opened.faulty.calls('get'), 6);
  }
});

test('a reader never mixes two versions', async () => {
  await using opened = await open(nthCall('get', 1, { kind: 'cut', afterBytes: 1000 }));
  await opened.local.putIfAbsent('object', await randomBytes('one', MIB));
  const reading = async (): Promise<void> => {
    for await (const chunk of opened.store.get('object')) {
      assert.equal(chunk.length, 1000);
      await opened.local.delete('object');
      await opened.local.putIfAbsent('object', await randomBytes('two', MIB));
    }
  };
  await rejectsWith('store.changed', reading());
});

test('a reader that gets further has a fresh allowance each time', async () => {
  await using opened = await open((operation) =>
    operation === 'get' ? { kind: 'cut', afterBytes: 10 } : undefined,
  );
  const bytes = await randomBytes('steps', 300);
  await opened.local.putIfAbsent('object', bytes);
  assert.deepEqual(await collect(opened.store.get('object')), bytes);
  assert.equal(opened.faulty.calls('get'), 30);
});

test('a reader that gets no further gives up', async () => {
  await using opened = await open((operation) =>
    operation === 'get' ? { kind: 'cut', afterBytes: 0 } : undefined,
  );
  await opened.local.putIfAbsent('object', Buffer.from('x'));
  await rejectsWith('store.unreachable', collect(opened.store.get('object')));
  assert.equal(opened.faulty.calls('get'), atOnce.attempts);
});

test('a write whose reply was lost has succeeded', async () => {
  await using opened = await open(nthCall('putIfAbsent', 1, { kind: 'reply-lost' }));
  const stored = await opened.store.putIfAbsent('object', Buffer.from('mine'));
  assert.deepEqual(stored, await opened.local.stat('object'));
});

test("a name taken by other bytes is not one's own lost reply", async () => {
  for (const other of ['others', 'mine and more', 'min', '']) {
    await using opened = await open(nthCall('putIfAbsent', 1, { kind: 'refused' }));
    await opened.local.putIfAbsent('object', Buffer.from(other));
    await rejectsWith('store.exists', opened.store.putIfAbsent('object', Buffer.from('mine')));
  }
});

test('a name taken by the same bytes without any doubt is taken', async () => {
  await using opened = await open(() => undefined);
  await opened.store.putIfAbsent('object', Buffer.from('same'));
  await rejectsWith('store.exists', opened.store.putIfAbsent('object', Buffer.from('same')));
});

test('what will not get better is not repeated', async () => {
  const error = new GuardianError('store.denied', 'no');
  await using opened = await open(() => ({ kind: 'refused', error }));
  await rejectsWith('store.denied', opened.store.stat('object'));
  await rejectsWith('store.denied', opened.store.delete('object'));
  await rejectsWith('store.denied', collect(opened.store.get('object')));
  assert.equal(opened.faulty.calls('stat') + opened.faulty.calls('delete') + opened.faulty.calls('get'), 3);
});

test('a streamed put is not repeated', async () => {
  await using opened = await open(nthCall('put', 1, { kind: 'refused' }));
  async function* body(): AsyncGenerator<Uint8Array, void> {
    await Promise.resolve();
    yield Buffer.from('x');
  }
  await rejectsWith('store.busy', opened.store.put('object', body()));
});
