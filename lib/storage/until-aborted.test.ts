import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilAborted } from './until-aborted.ts';

interface Source {
  items: AsyncIterable<number>;
  closed: () => boolean;
}

/** Gives `count` items, then is silent for ever, or ends. */
function source(count: number, then: 'silent' | 'end' | Error): Source {
  let closed = false;
  let given = 0;
  const items = {
    [Symbol.asyncIterator]: () => ({
      next: (): Promise<IteratorResult<number>> => {
        if (given < count) return Promise.resolve({ done: false, value: given++ });
        if (then === 'silent') return new Promise(() => undefined);
        return then === 'end' ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(then);
      },
      return: (): Promise<IteratorResult<number>> => {
        closed = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
  return { items, closed: () => closed };
}

test('items pass unchanged and the end is the end', async () => {
  const from = source(3, 'end');
  assert.deepEqual(await collect(untilAborted(from.items, new AbortController().signal)), [0, 1, 2]);
  assert.equal(from.closed(), false);
});

test('an abort ends a silent source with the very reason and closes it', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const from = source(2, 'silent');
  const seen: number[] = [];
  await assert.rejects(
    async () => {
      for await (const item of untilAborted(from.items, controller.signal)) {
        seen.push(item);
        if (item === 1) {
          queueMicrotask(() => {
            controller.abort(reason);
          });
        }
      }
    },
    (error) => error === reason,
  );
  assert.deepEqual(seen, [0, 1]);
  assert.ok(from.closed());
});

test('what the source throws passes unchanged', async () => {
  const failure = new Error('source broke');
  await assert.rejects(
    collect(untilAborted(source(1, failure).items, undefined)),
    (error) => error === failure,
  );
});

test('a reader who stops early closes the source', async () => {
  const from = source(9, 'end');
  for await (const item of untilAborted(from.items, undefined)) if (item === 1) break;
  assert.ok(from.closed());
});

test('an aborted signal stops before the source is asked', async () => {
  const from = source(1, 'end');
  await assert.rejects(collect(untilAborted(from.items, AbortSignal.abort(new Error('before')))), /before/);
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
