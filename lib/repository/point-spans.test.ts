import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  baseMaker,
  brokenSegment,
  contentOf,
  secondsIn,
  segmentOf,
  segmentsAt,
} from '../../test/harness/restore-points.ts';
import { type PointSpan, spansOf, type TimelineContent } from './point-spans.ts';

const base = await baseMaker();
const trim = {
  ...{ trim: 1, at: secondsIn(900), by: 'alice', reason: undefined },
  ...{ deleteAfter: secondsIn(999), swept: false },
};

test('ranges, gaps, breaks and what was trimmed are told apart', () => {
  const later = { chain: 'chain-2', gap: { after: 30n, reason: 'compacted past us' } };
  const cases: [string, TimelineContent, string[]][] = [
    ['nothing', contentOf([]), []],
    ['one base', contentOf([base(10)]), ['10-10']],
    ['bases alone', contentOf([base(10), base(20)]), ['10-10', 'gap 11-19', '20-20']],
    ['bases of revisions in a row', contentOf([base(10), base(11), base(11)]), ['10-11']],
    ['a chain', contentOf([base(10)], segmentsAt([10, 20, 30])), ['10-30']],
    ['watched before the base', contentOf([base(10)], segmentsAt([8, 20, 30])), ['10-30']],
    ['a base under a capture', contentOf([base(10), base(25)], segmentsAt([10, 20, 30])), ['10-30']],
    ['a base at its end', contentOf([base(10), base(30)], segmentsAt([10, 30])), ['10-30']],
    ['a base behind its end', contentOf([base(10), base(31)], segmentsAt([10, 30])), ['10-31']],
    [
      'a gap',
      contentOf([base(10), base(50)], [...segmentsAt([10, 30]), segmentOf(45, 60, later)]),
      ['10-30', 'gap 31-49 compacted past us', '50-60'],
    ],
    [
      'a gap that waits for its base',
      contentOf([base(10)], [...segmentsAt([10, 30]), segmentOf(45, 60, later)]),
      ['10-30', 'gap 31-60 compacted past us'],
    ],
    [
      'the end of a chain is gone',
      contentOf([base(10), base(50)], [...segmentsAt([10, 20]), segmentOf(45, 60, later)]),
      ['10-20', 'break 21-49 they were captured up to revision 30, but their segments are gone', '50-60'],
    ],
    [
      'a gap told by a chain that begins with its base',
      contentOf([base(10), base(50)], [...segmentsAt([10, 30]), segmentOf(50, 60, later)]),
      ['10-30', 'gap 31-49 compacted past us', '50-60'],
    ],
    [
      'chains that overlap',
      contentOf([base(10)], [segmentOf(10, 30), segmentOf(20, 40, later), segmentOf(40, 50, later)]),
      ['10-50'],
    ],
    [
      'a break, then a base',
      contentOf([base(10), base(40)], [segmentOf(10, 20), brokenSegment(20), segmentOf(30, 60)]),
      ['10-20', 'break 21-39 chain-1/20 is damaged', '40-60'],
    ],
    [
      'a break at the end',
      contentOf([base(10)], [segmentOf(10, 20), brokenSegment(20)]),
      ['10-20', 'break 21-21 chain-1/20 is damaged'],
    ],
    [
      'a break at the very first',
      contentOf([base(10)], [brokenSegment(8), segmentOf(20, 30)]),
      ['10-10', 'break 11-30 chain-1/8 is damaged'],
    ],
    [
      'something put within a sound one, then a gap',
      contentOf([base(10), base(50)], [segmentOf(10, 30), brokenSegment(20)]),
      ['10-30', 'gap 31-49', '50-50'],
    ],
    [
      'trimmed in the middle',
      contentOf(
        [base(10), base(50)],
        [segmentOf(10, 20), segmentOf(40, 60)],
        [{ ...trim, from: 20n, to: 40n }],
      ),
      ['10-20', 'trimmed 21-49 their segments were removed by alice at 2026-11-22T00:15:00.000Z', '50-60'],
    ],
    ['without the first base', contentOf([base(50)], segmentsAt([10, 20, 60])), ['no-base 11-49', '50-60']],
    ['without any base', contentOf([], segmentsAt([10, 20, 60])), ['no-base 11-60']],
  ];
  for (const [name, content, spans] of cases) {
    const told = spansOf(content).map(textOf);
    assert.equal(told.length, spans.length, `${name}: ${told.join(', ')}`);
    for (const [index, span] of spans.entries())
      assert.ok(told[index]?.startsWith(span), `${name}: ${told[index]}`);
  }
});

test('a range tells its bases, its segments and its times', () => {
  const lateBase = base(10, { completedAt: secondsIn(500) });
  const [range] = spansOf(contentOf([lateBase, base(25)], segmentsAt([10, 20, 30])));
  assert.ok(range?.kind === 'range');
  assert.deepEqual(range.bases, [lateBase, base(25)]);
  assert.equal(range.segments.length, 2);
  assert.equal(range.segmentBytes, 200);
  // Complete only long after the first changes behind it were seen.
  assert.deepEqual(range.from, { revision: 10n, seenAt: secondsIn(11) });
  assert.deepEqual(range.to, { revision: 30n, seenAt: secondsIn(30) });

  const [covered] = spansOf(contentOf([lateBase], segmentsAt([5, 20])));
  assert.ok(covered?.kind === 'range');
  assert.deepEqual(covered.from, { revision: 10n, seenAt: secondsIn(10) });
});

function textOf(span: PointSpan): string {
  return span.kind === 'range'
    ? `${span.from.revision}-${span.to.revision}`
    : `${span.cause} ${span.first}-${span.last} ${span.reason}`;
}
