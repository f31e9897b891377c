import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passLimits, processMemory } from './pass-limits.ts';

const MIB = 2 ** 20;

test('a stream may keep more where there is more memory, between limits', () => {
  const records = [64, 384, 512, 1024, 65_536].map((memory) => passLimits(false, memory * MIB).records / MIB);
  assert.deepEqual(records, [96, 144, 240, 448, 448]);
});

test('of a file that can be read again little is kept at first, whatever memory there is', () => {
  for (const memory of [384 * MIB, 64 * 1024 * MIB]) {
    const { records, kept, gathered } = passLimits(true, memory);
    assert.equal((records + kept + gathered) / MIB, 144);
  }
  assert.ok(passLimits(true, 1024 * MIB).liveRecords > passLimits(true, 384 * MIB).liveRecords);
});

test('a process knows what it may use', () => {
  assert.ok(processMemory() > 64 * MIB);
  assert.ok(Number.isSafeInteger(processMemory()));
});
