import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { collect, randomBody, randomBytes } from './conformance-bytes.ts';
import { assertAbsent, rejectsWith } from './conformance-writing.ts';
import {
  FaultInjectingStore,
  type FaultPlan,
  randomFaults,
  type StoreFault,
} from './fault-injecting-store.ts';
import { LocalStore } from './local-store.ts';

async function open(
  plan: FaultPlan,
): Promise<{ store: FaultInjectingStore; local: LocalStore } & AsyncDisposable> {
  const folder = await temporaryFolder();
  const local = new LocalStore(folder.path);
  const store = new FaultInjectingStore(local, plan);
  return { store, local, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test('a put that is cut or meets a full store leaves nothing', async () => {
  for (const [kind, code] of [
    ['cut', 'store.unreachable'],
    ['full', 'store.full'],
  ] as const) {
    for (const afterBytes of [0, 1, 99_999]) {
      await using opened = await open(() => ({ kind, afterBytes }));
      await rejectsWith(code, opened.store.put('a', randomBody('a', 100_000)));
      await rejectsWith(code, opened.store.putIfAbsent('a', await randomBytes('a', 100_000)));
      await assertAbsent(opened.local, 'a');
      await opened.store.put('fits', randomBody('a', afterBytes));
    }
  }
});

test('a reader gets exactly the bytes before the cut', async () => {
  await using opened = await open((operation) =>
    operation === 'get' ? { kind: 'cut', afterBytes: 70_000 } : undefined,
  );
  await opened.store.put('a', randomBody('a', 100_000));
  const got: Buffer[] = [];
  const reading = async (): Promise<void> => {
    for await (const chunk of opened.store.get('a')) got.push(Buffer.from(chunk));
  };
  await rejectsWith('store.unreachable', reading());
  assert.deepEqual(Buffer.concat(got), (await randomBytes('a', 100_000)).subarray(0, 70_000));
});

test('a lost reply has happened', async () => {
  await using opened = await open(() => ({ kind: 'reply-lost' }));
  await rejectsWith('store.unreachable', opened.store.put('a', randomBody('a', 5)));
  assert.equal((await opened.local.stat('a')).size, 5);
  await rejectsWith('store.unreachable', opened.store.delete('a'));
  await assertAbsent(opened.local, 'a');
});

test('a store that ignores the condition overwrites', async () => {
  await using opened = await open(() => ({ kind: 'overwrites' }));
  await opened.store.putIfAbsent('a', Buffer.from('one'));
  await opened.store.putIfAbsent('a', Buffer.from('two'));
  assert.equal((await collect(opened.local.get('a'))).toString(), 'two');
});

test('the same seed plans the same faults', () => {
  const faults: StoreFault[] = [{ kind: 'refused' }, { kind: 'reply-lost' }];
  const plan = (seed: number): (StoreFault | undefined)[] => {
    const random = seededRandom(seed);
    const one = randomFaults(() => random.next(), 0.5, faults);
    return Array.from({ length: 50 }, (_, call) => one('get', call, 'a'));
  };
  assert.deepEqual(plan(7), plan(7));
  assert.notDeepEqual(plan(7), plan(8));
});
