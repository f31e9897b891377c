import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../lib/guardian-error.ts';
import { print } from '../cli/output.ts';
import { failureText } from '../cli/run.ts';
import { visibleText } from './visible-text.ts';

const HOSTILE = 'prod\u001b]0;owned\u0007\u009b2J\u202e';

test('what a terminal would obey is shown instead, and line ends stay', () => {
  assert.equal(visibleText(`${HOSTILE}\nü → …\n`), 'prod\\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{202e}\nü → …\n');
});

test('names in results and failures reach no terminal as they are', () => {
  let shown = '';
  const stream = {
    write: (text: string) => {
      shown += text;
    },
  };
  const terminal = { stdout: stream, stderr: stream, env: {}, signal: new AbortController().signal };
  print(terminal, 'table', {}, () => `cluster ${HOSTILE}\n`);
  shown += failureText(new GuardianError('store.failed', HOSTILE, { hint: HOSTILE }));

  assert.doesNotMatch(shown, /(?!\n)[\p{Cc}\p{Cf}]/u);
});
