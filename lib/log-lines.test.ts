import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from './guardian-error.ts';
import { errorFields, errorText, LogLines, type LogFormat } from './log-lines.ts';

const NOW = new Date('2026-11-22T14:05:00Z');

function linesOf(format: LogFormat, write: (log: LogLines) => void): string {
  let text = '';
  const output = { write: (more: string) => (text += more) };
  write(new LogLines(output, () => NOW, format));
  return text;
}

test('a person reads when and what, and what is bad in capitals', () => {
  const text = linesOf('text', (log) => {
    log.write('info', 'segment-stored', 'stored 3 changes', { to: 7n });
    log.write('warning', 'gap', 'a\ngap \u001b[31m');
  });
  assert.equal(
    text,
    '2026-11-22T14:05:00.000Z stored 3 changes\n2026-11-22T14:05:00.000Z WARNING: a gap \\u{1b}[31m\n',
  );
});

test('a collector reads one object a line', () => {
  const text = linesOf('json', (log) => {
    log.write('error', 'gap', 'a\ngap', { to: 7n, at: NOW });
  });
  assert.deepEqual(JSON.parse(text), {
    ...{ time: '2026-11-22T14:05:00.000Z', level: 'error', event: 'gap', message: 'a\ngap' },
    ...{ to: '7', at: '2026-11-22T14:05:00.000Z' },
  });
  assert.equal(text.trimEnd().includes('\n'), false);
});

test('an error is told with its code and the way out', () => {
  const error = new GuardianError('store.busy', 'the store is busy', { hint: 'wait', retryable: true });
  assert.equal(errorText(error), 'the store is busy [store.busy] — wait');
  assert.deepEqual(errorFields(error), {
    ...{ code: 'store.busy', error: 'the store is busy', hint: 'wait', retryable: true },
  });
  assert.equal(errorText(new Error('a defect')), 'a defect');
});
