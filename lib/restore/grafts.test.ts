import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomGrafts } from '../../test/harness/random-grafts.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { NO_GROUP } from '../etcd/mvcc/entry-table.ts';
import { hasCode } from '../guardian-error.ts';
import { GIVES_WAY, graftGrouping, STAYS } from './graft-grouping.ts';
import { type Graft, grafts, graftsDigest } from './grafts.ts';
import { graftKeys } from './put-on-top.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const item = (key: string, value = '', whereAbsent = false): Graft => ({
  ...{ key: bytes(key), value: bytes(value), whereAbsent },
});

test('grafts come in the order of bytes, whatever the order they are given in', () => {
  const given = {
    items: [item('/b'), item('/\xff'), item('/a/0'), item('/a')],
    prefixes: [bytes('/z'), bytes('/y'), bytes('/z')],
  };
  const { items, prefixes } = grafts(given);
  assert.deepEqual(
    items.map(({ key }) => Buffer.from(key).toString('latin1')),
    ['/a', '/a/0', '/b', '/\xff'],
  );
  assert.deepEqual(prefixes, [bytes('/y'), bytes('/z')]);
  const other = { items: given.items.toReversed(), prefixes: given.prefixes.toReversed() };
  assert.equal(graftsDigest(given), graftsDigest(other));
});

test('a key twice, an empty key and an empty prefix are refused, without telling a value', () => {
  for (const given of [
    { items: [item('/a', 'secret'), item('/a', 'secret')], prefixes: [] },
    { items: [item('', 'secret')], prefixes: [] },
    { items: [], prefixes: [bytes('')] },
  ])
    assert.throws(
      () => grafts(given),
      (error) => hasCode(error, 'restore.grafts') && !error.message.includes('secret'),
    );
});

test('another key, value, prefix or condition is another set', () => {
  const digests = [
    { items: [item('/a', 'b')], prefixes: [] },
    { items: [item('/a', 'c')], prefixes: [] },
    { items: [item('/ab', '')], prefixes: [] },
    { items: [item('/a', 'b', true)], prefixes: [] },
    { items: [item('/a', 'b')], prefixes: [bytes('/')] },
    { items: [], prefixes: [bytes('/a'), bytes('b')] },
    { items: [], prefixes: [] },
  ].map(graftsDigest);
  assert.equal(new Set(digests).size, digests.length);
  assert.equal(digests.at(-1), '');
});

test('what lies under a prefix replaces whatever is there', () => {
  const { items } = grafts({
    items: [item('/own/a', '', true), item('/b', '', true)],
    prefixes: [bytes('/own/')],
  });
  assert.deepEqual(
    items.map(({ whereAbsent }) => whereAbsent),
    [true, false],
  );
});

test('keys are sorted into those that give way, those that stay and all others', () => {
  const random = testRandom('graft grouping');
  for (let round = 0; round < 200; round++) {
    const given = grafts(randomGrafts(random, '/k/'));
    const keys = graftKeys(given);
    const grouping = graftGrouping(structuredClone(keys));
    const has = (list: readonly Uint8Array[], key: Buffer): boolean =>
      list.some((one) => Buffer.compare(one, key) === 0);
    for (const name of [
      '',
      '/',
      '/k',
      '/k/',
      '/own',
      '/z',
      ...Array.from({ length: 60 }, () => random.pick(['/k/', '/own/']) + String(random.integer(0, 99))),
    ]) {
      const key = bytes(name);
      const expected =
        has(keys.replaced, key) ||
        keys.prefixes.some((prefix) => name.startsWith(Buffer.from(prefix).toString('latin1')))
          ? GIVES_WAY
          : has(keys.kept, key)
            ? STAYS
            : NO_GROUP;
      // Somewhere in a page.
      const page = Buffer.concat([bytes('xx'), key, bytes('yy')]);
      assert.equal(grouping.groupOf(page, 2, 2 + key.length), expected, name);
    }
  }
});
