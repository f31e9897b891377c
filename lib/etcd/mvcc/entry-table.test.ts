import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWindow } from '../byte-window.ts';
import { crc32c, crc32cOfRange } from '../crc32c.ts';
import { EntryTable, type NewEntry, NO_GROUP } from './entry-table.ts';

function entry(main: number, sub: number, more: Partial<NewEntry> = {}): NewEntry {
  return {
    main,
    sub,
    tombstone: false,
    keyHash: 1,
    keyHash2: 2,
    checksum: 3,
    size: 20,
    continuity: 4,
    group: 5,
    valuePrefix: 6,
    ...more,
  };
}

test('revisions of any size come back, page after page', () => {
  const table = new EntryTable(true);
  const pages = [
    [
      [2, 0],
      [3, 0],
      [3, 1],
      [3, 2],
      [9, 5],
      [9, 6],
      [9, 8],
    ],
    [
      [9, 9],
      [9, 10],
      [2 ** 32 + 9, 0],
      [2 ** 32 + 9, 1],
    ],
    [[2 ** 32 + 9, 0]], // another version of the page above
    [
      [2 ** 32 + 9, 2],
      [2 ** 53 - 1, 2 ** 32 - 1],
    ],
    [
      [1, 0],
      [2, 7],
      [2, 8],
    ],
  ] as const;
  for (const page of pages) {
    table.startPage();
    for (const [main, sub] of page) table.add(entry(main, sub));
  }
  const rows = pages.flat().map((_, row) => [table.mainOf(row), table.subOf(row)]);
  assert.deepEqual(rows, pages.flat());
});

test('what is forgotten leaves no trace in what comes after', () => {
  const table = new EntryTable(false);
  table.startPage();
  table.add(entry(5, 0));
  table.startPage();
  for (let n = 0; n < 100; n++) table.add(entry(2 ** 40 + n * 2 ** 33, 3 * n + 1));
  table.truncate(1);
  table.startPage();
  table.add(entry(5, 0));
  table.add(entry(5, 1));
  table.add(entry(6, 4));
  const rows = [0, 1, 2, 3].map((row) => [table.mainOf(row), table.subOf(row)]);
  assert.deepEqual(rows, [
    [5, 0],
    [5, 0],
    [5, 1],
    [6, 4],
  ]);
});

test('sizes, flags and groups are kept apart', () => {
  const table = new EntryTable(true);
  table.add(entry(5, 9, { size: 2 ** 30 - 1, tombstone: true, group: 70_000 }));
  assert.equal(table.sizeOf(0), 2 ** 30 - 1);
  assert.equal(table.isTombstone(0), true);
  assert.equal(table.subOf(0), 9);
  assert.equal(table.groupOf(0), 70_000);
});

test('the checksum of any run of entries is that of their bytes', () => {
  const bytes = Buffer.from('the quick brown fox jumps over the lazy dog');
  const table = new EntryTable(false);
  let checksum = 0;
  for (let at = 0; at < 40; at += 8) {
    checksum = crc32cOfRange(new ByteWindow(bytes), at, at + 8, checksum);
    table.add(entry(2 + at, 0, { checksum, size: 8 }));
  }
  for (let from = 0; from <= 5; from++) {
    for (let to = from; to <= 5; to++) {
      assert.equal(table.checksumOf(from, to, 0, 99), crc32c(bytes.subarray(from * 8, to * 8), 99));
    }
  }
});

test('a link takes the place of the hash', () => {
  const table = new EntryTable(false);
  for (const keyHash of [-5, -5, 7]) table.add(entry(2 + table.length, 0, { keyHash }));
  assert.ok(table.hasEqualKey(0, 1));
  assert.ok(!table.hasEqualKey(0, 2));
  table.link(0, 1);
  table.link(1, -1);
  assert.deepEqual([table.successorOf(0), table.successorOf(1)], [1, -1]);
});

test('a group and the prefix of the value share a word, and neither spills into the other', () => {
  const table = new EntryTable(true);
  const pairs = [
    [0, 0],
    [NO_GROUP, 0],
    [0, 255],
    [NO_GROUP, 255],
    [65_535, 65],
  ] as const;
  for (const [index, [group, valuePrefix]] of pairs.entries()) {
    table.add(entry(index + 1, 0, { group, valuePrefix }));
  }
  assert.deepEqual(
    pairs.map((_, row) => [table.groupOf(row), table.valuePrefixOf(row)]),
    pairs,
  );
  const ungrouped = new EntryTable(false);
  ungrouped.add(entry(1, 0));
  assert.deepEqual([ungrouped.groupOf(0), ungrouped.valuePrefixOf(0)], [NO_GROUP, 0]);
});
