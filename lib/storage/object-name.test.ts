import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import { checkListPrefix, checkObjectName, isObjectName } from './object-name.ts';

const good = ['a', 'a/b', 'clusters/1f.2_3-4/base.zst', '.probe/x', '..a', 'a..b', '...', 'x'.repeat(255)];
const bad = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  'a/../b',
  './a',
  'a/..',
  'a b',
  'a\\b',
  'a\0',
  'a\n',
  'ä',
  'a%2fb',
  '~/a',
  'x'.repeat(256),
  'x/'.repeat(450) + 'x',
  '.uploads/a',
  '.uploads',
];

test('names of plain segments are valid', () => {
  for (const name of good) checkObjectName(name);
});

test('names that could leave the prefix, hide or confuse are refused with store.name', () => {
  for (const name of bad) {
    assert.throws(
      () => {
        checkObjectName(name);
      },
      (error: unknown) => hasCode(error, 'store.name'),
      JSON.stringify(name),
    );
    assert.equal(isObjectName(name), false);
  }
});

test('a prefix is the beginning of a name', () => {
  for (const prefix of ['', 'a', 'a/', 'a/b', 'a/.', 'a/..', '.', '..', '.p']) checkListPrefix(prefix);
  for (const prefix of ['/', '/a', 'a//', '../', './', 'a/../', '.uploads/', 'a b', 'a\n']) {
    assert.throws(
      () => {
        checkListPrefix(prefix);
      },
      (error: unknown) => hasCode(error, 'store.name'),
      JSON.stringify(prefix),
    );
  }
});

test('a hostile name reaches the message escaped', () => {
  assert.throws(() => {
    checkObjectName('\u001b[2J');
  }, /"\\u001b\[2J"/);
});
