import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conditionReason, setCondition } from './set-condition.ts';
import { mergePatchOf } from './write-status.ts';

test('a merge patch says what changed, and null for what is gone', () => {
  const cases: [from: object, to: object, patch: unknown][] = [
    [{}, {}, undefined],
    [{ a: 1 }, { a: 1 }, undefined],
    [{ a: 1 }, { a: 1, b: undefined }, undefined],
    [{ a: 1, b: 2 }, { a: 1 }, { b: null }],
    [{ a: { b: 1, c: 2 } }, { a: { b: 1, c: 3 } }, { a: { c: 3 } }],
    [{ a: { b: 1 } }, { a: { c: 1 } }, { a: { b: null, c: 1 } }],
    [{ a: [1, 2] }, { a: [1, 2] }, undefined],
    [{ a: [{ b: 1 }] }, { a: [{ b: 1, c: undefined }] }, undefined],
    [{ a: [1, 2] }, { a: [2] }, { a: [2] }],
    [{ a: { b: 1 } }, { a: 5 }, { a: 5 }],
    [{}, { a: { b: 1 } }, { a: { b: 1 } }],
  ];
  for (const [from, to, patch] of cases)
    assert.deepEqual(mergePatchOf(from, to), patch, JSON.stringify({ from, to }));
});

test('a condition keeps its time until its status changes', () => {
  const ready = {
    type: 'Ready',
    status: 'False',
    reason: 'Running',
    message: 'a',
    observedGeneration: 1,
  } as const;
  const at = (second: number): Date => new Date(Date.UTC(2026, 0, 1, 0, 0, second, 500));
  const first = setCondition(undefined, ready, at(1));
  assert.deepEqual(first, [{ ...ready, lastTransitionTime: '2026-01-01T00:00:01Z' }]);

  const retold = setCondition(first, { ...ready, message: 'b', observedGeneration: 2 }, at(2));
  assert.deepEqual(retold, [
    { ...ready, message: 'b', observedGeneration: 2, lastTransitionTime: '2026-01-01T00:00:01Z' },
  ]);

  const both = setCondition(retold, { ...ready, type: 'Stored' }, at(3));
  const changed = setCondition(both, { ...ready, status: 'True', message: '\u001b' }, at(4));
  assert.deepEqual(
    changed.map(({ type, status, lastTransitionTime, message }) => [
      type,
      status,
      lastTransitionTime,
      message,
    ]),
    [
      ['Ready', 'True', '2026-01-01T00:00:04Z', '\\u{1b}'],
      ['Stored', 'False', '2026-01-01T00:00:03Z', 'a'],
    ],
  );
});

test('error codes become reasons that the schema takes', () => {
  assert.equal(conditionReason('kubernetes.not-found'), 'KubernetesNotFound');
  assert.equal(conditionReason('BackupCompleted'), 'BackupCompleted');
  for (const odd of ['', '7', 'ä', '-', 'x'.repeat(5000)])
    assert.match(conditionReason(odd), /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/);
});
