import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventRecorder } from './event-recorder.ts';
import type { KubeClient } from './kube-client.ts';

const ABOUT = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: 'a' } };
/** More turns than a write has. */
const TURNS = 30;

for (let turn = 0; turn < TURNS; turn += 1)
  test(`what happens ${turn} turns after another Event was written is told, too`, async () => {
    const notes: unknown[] = [];
    const written = Promise.withResolvers<undefined>();
    const create = (_resource: unknown, _namespace: unknown, event: { note: string }): Promise<object> => {
      notes.push(event.note);
      return written.promise.then(() => ({}));
    };
    const client = { create } as unknown as KubeClient;
    const recorder = eventRecorder({ client, controller: 'etcdguardian.io/test', instance: 'test' });
    const record = (note: string): void => {
      recorder.record(ABOUT, { type: 'Normal', reason: 'Told', action: 'Tell', note });
    };
    record('first');
    written.resolve(undefined);
    for (let passed = 0; passed < turn; passed += 1) await Promise.resolve();
    record('second');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(notes, ['first', 'second']);
  });
