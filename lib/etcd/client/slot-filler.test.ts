import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlotFiller } from './slot-filler.ts';

function filler(slots: number): { filler: SlotFiller; filled: string[]; numbers: number[] } {
  const memory = new SharedArrayBuffer(slots * 4);
  const filled: string[] = [];
  const numbers: number[] = [];
  const made = new SlotFiller(memory, 4, (slot, length) => {
    filled.push(Buffer.from(memory, slot * 4, length).toString());
    numbers.push(slot);
  });
  return { filler: made, filled, numbers };
}

test('bytes fill one slot after the other, wherever they are cut', () => {
  const { filler: slots, filled, numbers } = filler(3);
  for (const bytes of ['ab', 'cdef', '', 'ghij']) slots.write(Buffer.from(bytes));
  assert.deepEqual(filled, ['abcd', 'efgh']);
  slots.flush();
  slots.flush();
  assert.deepEqual(filled, ['abcd', 'efgh', 'ij']);
  assert.deepEqual(numbers, [0, 1, 2]);
});

test('there is room while one whole slot is free, and a slot given back is used again', () => {
  const { filler: slots, filled, numbers } = filler(2);
  slots.write(Buffer.from('abc'));
  assert.equal(slots.hasRoom, true);
  slots.write(Buffer.from('defg'));
  assert.equal(slots.hasRoom, false);
  slots.giveBack(0);
  assert.equal(slots.hasRoom, true);
  slots.write(Buffer.from('hijk'));
  slots.flush();
  assert.deepEqual(filled, ['abcd', 'efgh', 'ijk']);
  assert.deepEqual(numbers, [0, 1, 0]);
});

test('what there is no room for is refused', () => {
  const { filler: slots } = filler(1);
  assert.throws(() => {
    slots.write(Buffer.from('abcde'));
  }, /no slot is free/);
});
