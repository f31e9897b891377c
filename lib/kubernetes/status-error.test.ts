import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusError, statusOf } from './status-error.ts';

test('each answer that is no success has its code, and says whether trying again may help', () => {
  const cases: [status: number, body: unknown, code: string, retryable: boolean][] = [
    [400, {}, 'kubernetes.invalid', false],
    [401, {}, 'kubernetes.unauthorized', false],
    [403, {}, 'kubernetes.forbidden', false],
    [404, {}, 'kubernetes.not-found', false],
    [409, { reason: 'AlreadyExists' }, 'kubernetes.exists', false],
    [409, { reason: 'Conflict' }, 'kubernetes.conflict', true],
    [410, { reason: 'Expired' }, 'kubernetes.gone', true],
    [422, { reason: 'Invalid' }, 'kubernetes.invalid', false],
    [429, {}, 'kubernetes.busy', true],
    [500, undefined, 'kubernetes.unavailable', true],
    [504, { details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } }, 'kubernetes.gone', true],
    [302, {}, 'kubernetes.refused', false],
    [413, {}, 'kubernetes.refused', false],
  ];
  for (const [status, body, code, retryable] of cases) {
    const error = statusError('get pods a/b', status, body);
    assert.deepEqual([error.code, error.retryable], [code, retryable], `${status}`);
    assert.equal(statusOf(error)?.status, status);
  }
});

test('what the server says is shown, made safe and short; its causes are kept', () => {
  const error = statusError('create secrets in a', 422, {
    reason: 'Invalid',
    message: `bad\u001b[31m\n${'x'.repeat(10_000)}`,
    details: { causes: [{ reason: 'FieldValueRequired', message: 'Required', field: 'spec.x' }, 'odd'] },
  });
  assert.ok(error.message.startsWith('create secrets in a: bad\\u{1b}[31m xxx'));
  assert.ok(error.message.length < 2_500);
  assert.deepEqual(statusOf(error)?.causes, [
    { reason: 'FieldValueRequired', message: 'Required', field: 'spec.x' },
  ]);
});

test('an answer that isn’t Kubernetes’ still makes a sentence', () => {
  assert.equal(statusError('list pods', 503, 'gateway').message, 'list pods: the API server answered 503');
  assert.equal(statusOf(new Error('other')), undefined);
});
