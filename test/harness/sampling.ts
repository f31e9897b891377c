import { randomInt } from 'node:crypto';
import { type SeededRandom, seededRandom } from './seeded-random.ts';

/** True in `make test-matrix`, where nothing is left to chance. */
export const WHOLE_MATRIX = process.env.TEST_MATRIX === '1';

let seed: string | undefined;

/**
 * What this run samples by: TEST_SEED, else a random one that is printed, so that the run can be repeated.
 */
export function testSeed(): string {
  if (seed === undefined) {
    seed = process.env.TEST_SEED;
    if (seed === undefined || seed === '') {
      seed = String(randomInt(1_000_000_000));
      process.stdout.write(`TEST_SEED=${seed} repeats this choice\n`);
    }
  }
  return seed;
}

/** Random numbers of this run, of their own for each `purpose`: a test more or less doesn't change another's. */
export function testRandom(purpose: string): SeededRandom {
  return seededRandom(`${testSeed()} ${purpose}`);
}

/** `count` of the items, in their order, chosen by the run's seed; with TEST_MATRIX=1 all of them. */
export function sample<T>(items: readonly T[], count: number, purpose = ''): T[] {
  if (WHOLE_MATRIX || count >= items.length) return [...items];
  const chosen = new Set(
    testRandom(purpose)
      .shuffled([...items.keys()])
      .slice(0, count),
  );
  return items.filter((_, index) => chosen.has(index));
}
