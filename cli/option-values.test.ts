import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../lib/guardian-error.ts';
import { collect, parseByteCount, parseCount, parseDuration, parseRevision } from './option-values.ts';

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

test('a duration that is too short for its option is refused', () => {
  assert.equal(parseDuration('1s', '--check-interval', 1000), 1000);
  assert.throws(
    () => parseDuration('0s', '--check-interval', 1000),
    /--check-interval: "0s" is less than 1 s/,
  );
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

test('whole numbers are whole, and not below the least', () => {
  assert.deepEqual([parseCount('1', '--top'), parseCount('0', '--limit', 0)], [1, 0]);
  for (const text of ['', '0', '-1', '1.5', '1e3', ' 1', 'one', '9'.repeat(16)]) {
    assert.throws(
      () => parseCount(text, '--top'),
      (error) => hasCode(error, 'usage.number') && error.message.includes('--top'),
      text,
    );
  }
});

test('revisions are 64-bit and from 1', () => {
  assert.equal(parseRevision('900719925474099301', '--to-revision'), 900719925474099301n);
  for (const text of ['', '0', '-1', '01', '1,000', '9'.repeat(19), 'latest']) {
    assert.throws(
      () => parseRevision(text, '--to-revision'),
      (error) => hasCode(error, 'usage.revision') && error.message.includes('--to-revision'),
      text,
    );
  }
});

test('options that are repeated add up', () => {
  assert.deepEqual(
    ['a', 'b'].reduce<readonly string[]>((all, one) => collect(one, all), []),
    ['a', 'b'],
  );
});
