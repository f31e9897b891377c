import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RowTable } from './row-table.ts';

test('rows keep their fields across chunks', () => {
  const table = new RowTable(12);
  for (let n = 0; n < 40_000; n++) {
    const row = table.add();
    assert.equal(row, n);
    table.set(row, 0, n * 3);
    table.set(row, 8, 0xffffffff - n);
  }
  for (const row of [0, 16_383, 16_384, 39_999]) {
    assert.equal(table.get(row, 0), row * 3);
    assert.equal(table.get(row, 4), 0);
    assert.equal(table.get(row, 8), 0xffffffff - row);
    assert.equal(table.chunk(row).getUint32(table.at(row) + 8, true), 0xffffffff - row);
  }
});

test('forgotten rows are out of range and their place is used again', () => {
  const table = new RowTable(4);
  for (let n = 0; n < 10; n++) table.set(table.add(), 0, n);
  table.truncate(4);
  assert.throws(() => table.get(4, 0), RangeError);
  assert.equal(table.add(), 4);
});

test('the first row at or above a value is found', () => {
  const table = new RowTable(8);
  for (const value of [3, 5, 5, 9]) table.set(table.add(), 4, value);
  const found = [0, 3, 4, 5, 6, 9, 10].map((value) => table.lowerBound(4, value));
  assert.deepEqual(found, [0, 0, 1, 1, 3, 3, 4]);
  assert.equal(new RowTable(4).lowerBound(0, 1), 0);
});
