import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { seededRandom } from './seeded-random.ts';

const program = `
  import { sample } from ${JSON.stringify(join(import.meta.dirname, 'sampling.ts'))};
  console.log(sample(Array.from({ length: 100 }, (_, i) => i), 5, 'test').join(' '));
`;

function choose(env: Record<string, string>): string {
  const unset = { TEST_SEED: undefined, TEST_MATRIX: undefined };
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    env: { ...process.env, ...unset, ...env },
  }).stdout;
}

test('a seed repeats the choice, another seed makes another', () => {
  const first = choose({ TEST_SEED: '1' });
  assert.match(first, /^(\d+ ){4}\d+\n$/);
  assert.equal(choose({ TEST_SEED: '1' }), first);
  assert.notEqual(choose({ TEST_SEED: '2' }), first);
});

test('without a seed one is printed that repeats the choice', () => {
  const [line = '', choice = ''] = choose({}).split('\n');
  const seed = /^TEST_SEED=(\d+) /.exec(line)?.[1] ?? '';
  assert.equal(choose({ TEST_SEED: seed }), `${choice}\n`);
});

test('the whole matrix leaves nothing out', () => {
  assert.equal(choose({ TEST_MATRIX: '1' }).trim().split(' ').length, 100);
});

test('seeded random numbers are the same everywhere and cover their range', () => {
  const random = seededRandom(1);
  assert.deepEqual([...random.bytes(6)], [...seededRandom(1).bytes(6)]);
  const seen = new Set(Array.from({ length: 500 }, () => random.integer(3, 9)));
  assert.deepEqual([...seen].sort(), [3, 4, 5, 6, 7, 8]);
  assert.deepEqual(random.shuffled([1, 2, 3, 4]).sort(), [1, 2, 3, 4]);
  assert.ok([1, 2].includes(random.pick([1, 2])));
});
