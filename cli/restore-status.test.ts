import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whatHappened } from './restore-status.ts';

test('of a way back it is told why it was gone, and how it went', () => {
  const problem = { code: 'restore.x', message: 'it failed', hint: '', retryable: false };
  const told = (state: string, message: string): string => whatHappened({ state, message, problem });
  assert.equal(told('RolledBack', 'someone ended it'), 'it failed [restore.x]; someone ended it');
  assert.equal(told('RollingBack', ''), 'it failed [restore.x]');
  assert.equal(told('Verifying', 'it runs'), 'it failed [restore.x]');
  assert.equal(whatHappened({ state: 'Resumed', message: 'done', problem: undefined }), 'done');
});
