import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PointSpan, spansOf, type TimelineContent } from '../lib/repository/point-spans.ts';
import {
  baseMaker,
  brokenSegment,
  contentOf,
  secondsIn,
  segmentsAt,
} from '../test/harness/restore-points.ts';
import { spansText, spanValue } from './point-spans-text.ts';

const base = await baseMaker();
const NOW = secondsIn(400);

test('what can be restored is told newest first, with every gap between', () => {
  const spans = newestFirst(
    contentOf([base(10), base(200)], [...segmentsAt([10, 20, 80]), ...segmentsAt([200, 300])]),
  );
  const lines = spansText(spans, 10, NOW).split('\n');
  assert.equal(lines[0], 'newest: revision 300 of 2026-11-22T00:05:00Z (1m ago); 1 GAP');
  assert.match(
    lines[2] ?? '',
    /^ ok +200 to 300 +2026-11-22T00:03:20Z +2026-11-22T00:05:00Z +1 min 40 s +1 +1 \(100 B\)$/,
  );
  assert.match(
    lines[3] ?? '',
    /^>>> +81 to 199 +2026-11-22T00:01:20Z +2026-11-22T00:03:20Z +2 min 0 s +GAP +nobody captured them$/,
  );
  assert.match(lines[4] ?? '', /^ ok +10 to 80 .* 1 +2 \(200 B\)$/);
});

test('without a gap it says so, and a lone base is one revision', () => {
  assert.match(
    spansText(newestFirst(contentOf([base(10)])), 10, NOW),
    /; no gaps\n(.*\n) ok +10 .* this revision only\n$/,
  );
});

test('what is broken is named, and older lines are counted', () => {
  const content = contentOf(
    [base(10)],
    [...segmentsAt([10, 20]), brokenSegment(20), ...segmentsAt([30, 40])],
  );
  const spans = newestFirst(content);
  assert.match(spansText(spans, 10, NOW), /^>>> +21 to 40 .*BROKEN +chain-1\/20 is damaged$/m);
  assert.match(spansText(spans, 1, NOW), /\n>>> .*\n {3}… and 1 older line \(--limit\)\n$/);
  assert.deepEqual(spanValue(spans[0] ?? assert.fail()), {
    kind: 'break',
    first: 21n,
    last: 40n,
    reason: 'chain-1/20 is damaged',
    segment: 'chain-1/20',
  });
});

test('where there is nothing it says so', () => {
  assert.match(spansText([], 10, NOW), /^NOTHING can be restored\n/);
});

function newestFirst(content: TimelineContent): PointSpan[] {
  return spansOf(content).reverse();
}
