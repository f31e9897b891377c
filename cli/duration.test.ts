import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../lib/guardian-error.ts';
import { parseByteCount, parseDuration } from './duration.ts';

test('durations are read as Go and Kubernetes write them', () => {
  const cases: [string, number][] = [
    ['5s', 5000],
    ['250ms', 250],
    ['1h30m', 5_400_000],
    ['720h', 2_592_000_000],
    ['30d', 2_592_000_000],
    ['1.5m', 90_000],
  ];
  for (const [text, expected] of cases) assert.equal(parseDuration(text, '--max-age'), expected, text);
});

test('what is not a duration is refused by name', () => {
  for (const text of ['', '5', 's', '5 s', '-5s', '5s!', '5y']) {
    assert.throws(
      () => parseDuration(text, '--max-age'),
      (error) => hasCode(error, 'usage.duration') && error.message.includes('--max-age'),
      text,
    );
  }
});

test('byte counts are read as Kubernetes writes them', () => {
  const cases: [string, number][] = [
    ['1048576', 1_048_576],
    ['512Mi', 536_870_912],
    ['10G', 10_000_000_000],
    ['1.5Gi', 1_610_612_736],
    ['4GiB', 4_294_967_296],
  ];
  for (const [text, expected] of cases) assert.equal(parseByteCount(text, '--spool-disk'), expected, text);
  for (const text of ['', 'Mi', '-1', '1 Pi', '1Kib']) {
    assert.throws(
      () => parseByteCount(text, '--spool-disk'),
      (error) => hasCode(error, 'usage.bytes'),
      text,
    );
  }
});
