import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../test/harness/repository.ts';
import { ProgressLine, transferText } from './progress-line.ts';

const MIB = 1024 * 1024;

interface Watched {
  readonly clock: TestClock;
  readonly line: ProgressLine;
  /** What was written since it was asked last. */
  readonly written: () => string;
}

function watched({ isTTY = false, columns = 80, quiet = false } = {}): Watched {
  let text = '';
  const stderr = { isTTY, columns, write: (part: string) => (text += part) };
  const terminal = { stdout: stderr, stderr, env: {}, signal: new AbortController().signal };
  const clock = new TestClock(new Date(0));
  const written = (): string => {
    const since = text;
    text = '';
    return since;
  };
  return { clock, written, line: new ProgressLine(terminal, clock.read, { quiet }) };
}

test('in a log there is a line every ten seconds of a step, and none for a short one', () => {
  const { clock, line, written } = watched();
  for (let second = 0; second < 25; second++) {
    line.update({ label: 'backing up', done: second * MIB, total: 100 * MIB });
    clock.advance(1000);
  }
  assert.equal(
    written(),
    'backing up   10%  10.0 MiB of 100 MiB  1.0 MiB/s  1 min 30 s left\n' +
      'backing up   20%  20.0 MiB of 100 MiB  1.0 MiB/s  1 min 20 s left\n',
  );
  line.update({ label: 'reading back', done: 0, total: 5 });
  clock.advance(9000);
  line.update({ label: 'reading back', done: 5, total: 5 });
  line.end();
  assert.equal(written(), '', 'another step begins anew, and ends without a trace');
});

test('before a person one line redraws itself, within the width, and goes when something else is said', () => {
  const { clock, line, written } = watched({ isTTY: true, columns: 30 });
  line.update({ label: 'verifying', done: 0, total: 10 * MIB });
  clock.advance(100);
  line.update({ label: 'verifying', done: MIB, total: 10 * MIB });
  assert.equal(written(), '', 'not at once, lest it flickers');
  clock.advance(100);
  line.update({ label: 'verifying', done: 2 * MIB, total: 10 * MIB });
  assert.equal(written(), '\r\u001b[Kverifying   20%  2.0 MiB of 1');
  line.say('warning: something');
  assert.equal(written(), '\r\u001b[Kwarning: something\n');
  line.end();
  assert.equal(written(), '', 'nothing is drawn any more');
});

test('quiet means quiet', () => {
  const { clock, line, written } = watched({ isTTY: true, quiet: true });
  line.say('a remark');
  line.update({ label: 'verifying', done: 0 });
  clock.advance(60_000);
  line.update({ label: 'verifying', done: MIB });
  line.end();
  assert.equal(written(), '');
});

const TEXTS: readonly (readonly [string, Parameters<typeof transferText>[0], number, string])[] = [
  ['no total is known', { label: 'x', done: 3 * MIB }, 2000, 'x  3.0 MiB  1.5 MiB/s'],
  ['nothing came yet', { label: 'x', done: 0, total: MIB }, 2000, 'x    0%  0 B of 1.0 MiB'],
  ['no time has passed', { label: 'x', done: MIB, total: 4 * MIB }, 0, 'x   25%  1.0 MiB of 4.0 MiB'],
  [
    'more came than was announced',
    { label: 'x', done: 5 * MIB, total: 4 * MIB },
    1000,
    'x  100%  5.0 MiB of 4.0 MiB  5.0 MiB/s  0 ms left',
  ],
  ['an empty total', { label: 'x', done: 0, total: 0 }, 1000, 'x  0 B'],
];

for (const [when, transfer, elapsedMs, text] of TEXTS) {
  test(`what is shown when ${when}`, () => {
    assert.equal(transferText(transfer, elapsedMs), text);
  });
}
