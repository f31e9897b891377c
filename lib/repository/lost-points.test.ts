import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  baseMaker,
  contentOf,
  randomContent,
  segmentOf,
  segmentsAt,
} from '../../test/harness/restore-points.ts';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import { lostPoints } from './lost-points.ts';
import { spansOf, type TimelineContent } from './point-spans.ts';

const base = await baseMaker();

test('what goes with a base ends where the next base or a gap does', () => {
  const [a, b, c] = [base(10), base(25), base(50)];
  const content = contentOf(
    [a, b, c],
    [...segmentsAt([10, 20, 30]), segmentOf(40, 60, { chain: 'chain-2' })],
  );
  const lost = [a, b, c].map((one) => lostPoints(content, one));
  assert.deepEqual(
    lost.map((points) => points && [points.from.revision, points.to.revision]),
    [[10n, 24n], undefined, [50n, 60n]],
  );
});

test('whatever stands there, it is just what can be restored with the base and not without it', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const content = randomContent(seededRandom(seed), base);
    const all = restorable(content);
    for (const one of content.bases) {
      const left = restorable({ ...content, bases: content.bases.filter((other) => other !== one) });
      const lost = [...all].filter((revision) => !left.has(revision));
      const told = lostPoints(content, one);
      assert.deepEqual(
        [told?.from.revision, told?.to.revision],
        [lost[0], lost.at(-1)],
        `seed ${seed}, ${one.id}`,
      );
      if (told !== undefined) assert.equal(BigInt(lost.length), told.to.revision - told.from.revision + 1n);
    }
  }
});

/** Ascending. */
function restorable(content: TimelineContent): Set<bigint> {
  const revisions = new Set<bigint>();
  for (const span of spansOf(content)) {
    if (span.kind === 'hole') continue;
    for (let revision = span.from.revision; revision <= span.to.revision; revision++) revisions.add(revision);
  }
  return revisions;
}
