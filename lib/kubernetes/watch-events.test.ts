import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import type { KubeObject, KubeWatchEvent } from './kube-client.ts';
import { watchEvents } from './watch-events.ts';

const QUIET_MS = 60_000;

test('events come out whole, however their bytes are cut', async () => {
  const text = [
    { type: 'ADDED', object: { metadata: { name: 'ä', resourceVersion: '1' } } },
    { type: 'MODIFIED', object: { metadata: { name: 'b', resourceVersion: '2' } } },
    { type: 'BOOKMARK', object: { metadata: { resourceVersion: '3' } } },
    { type: 'DELETED', object: { metadata: { name: 'b', resourceVersion: '4' } } },
  ]
    .map((event) => `${JSON.stringify(event)}\n`)
    .join('');
  for (const size of [1, 2, 7, 64, 10_000]) {
    const events = await all(watchEvents(cut(Buffer.from(text), size), 'watch pods', QUIET_MS));
    assert.deepEqual(
      events.map((event) => [
        event.type,
        event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.name,
      ]),
      [
        ['ADDED', 'ä'],
        ['MODIFIED', 'b'],
        ['BOOKMARK', '3'],
        ['DELETED', 'b'],
      ],
    );
  }
});

test('what the end of the stream cut off is no event', async () => {
  const whole = '{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n';
  const events = await all(
    watchEvents(cut(Buffer.from(`${whole}{"type":"DEL`), 1000), 'watch pods', QUIET_MS),
  );
  assert.equal(events.length, 1);
});

test('an error in the stream is an error, and history that is gone has its own code', async () => {
  const gone = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version: 1 (5)' };
  await assert.rejects(
    all(watchEvents(lines({ type: 'ERROR', object: gone }), 'watch pods', QUIET_MS)),
    (error) => hasCode(error, 'kubernetes.gone'),
  );
  for (const nonsense of [{ type: 'ADDED' }, { type: 'WHAT', object: { metadata: {} } }, 7])
    await assert.rejects(all(watchEvents(lines(nonsense), 'watch pods', QUIET_MS)), (error) =>
      hasCode(error, 'kubernetes.unreachable'),
    );
});

test('a stream that is silent for too long is taken for dead', async () => {
  const silent = new Readable({ read: () => undefined });
  await assert.rejects(
    all(watchEvents(silent, 'watch pods', 20)),
    /watch pods: the stream broke: nothing came for 20 ms/,
  );
  assert.ok(silent.destroyed);
});

function cut(bytes: Buffer, size: number): Readable {
  const count = Math.ceil(bytes.length / size);
  return Readable.from(Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size)));
}

function lines(...events: unknown[]): Readable {
  return cut(Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join('')), 1000);
}

async function all(events: AsyncIterable<KubeWatchEvent<KubeObject>>): Promise<KubeWatchEvent<KubeObject>[]> {
  const seen: KubeWatchEvent<KubeObject>[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}
