import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../guardian-error.ts';
import type { StoredSegment } from './chain.ts';
import { judgeHashes } from './kept-hashes.ts';
import type { RecordedHash } from './read-segments.ts';

/** Its HashKV is its revision. */
const FILE = {
  currentRevision: 300n,
  compactRevision: 100n,
  hashKVAt: ({ revision }: { readonly revision: bigint }) => Number(revision),
};

const CASES: readonly (readonly [
  what: string,
  hashes: readonly (readonly [member: bigint, revision: bigint, hash: number])[],
  outcome: { matched?: number; outvoted?: readonly bigint[]; refused?: readonly bigint[] },
])[] = [
  ['nothing was kept', [], {}],
  [
    'all agree',
    [
      [1n, 200n, 200],
      [2n, 200n, 200],
      [1n, 250n, 250],
    ],
    { matched: 3 },
  ],
  [
    'what the file can not tell counts neither way',
    [
      [1n, 90n, 1],
      [1n, 301n, 1],
    ],
    {},
  ],
  ['one alone differs', [[1n, 200n, 7]], { refused: [200n] }],
  [
    'one of two differs: nobody can tell which',
    [
      [1n, 200n, 200],
      [2n, 200n, 7],
    ],
    { refused: [200n] },
  ],
  [
    'one of three differs',
    [
      [1n, 200n, 200],
      [2n, 200n, 7],
      [3n, 200n, 200],
    ],
    { matched: 2, outvoted: [2n] },
  ],
  [
    'two of three differ',
    [
      [1n, 200n, 7],
      [2n, 200n, 7],
      [3n, 200n, 200],
    ],
    { refused: [200n] },
  ],
  [
    'one is recorded twice and has one voice',
    [
      [1n, 200n, 200],
      [1n, 200n, 200],
      [2n, 200n, 7],
    ],
    { refused: [200n] },
  ],
  [
    'one that contradicts itself differs',
    [
      [1n, 200n, 200],
      [1n, 200n, 7],
    ],
    { refused: [200n] },
  ],
  [
    'at another revision the vote is another',
    [
      [1n, 200n, 200],
      [2n, 200n, 200],
      [3n, 200n, 7],
      [3n, 250n, 7],
    ],
    { refused: [250n] },
  ],
  [
    'all that differ are named',
    [
      [1n, 200n, 7],
      [1n, 250n, 8],
    ],
    { refused: [200n, 250n] },
  ],
];

for (const [what, hashes, { matched = 0, outvoted = [], refused }] of CASES) {
  test(`kept hashes: ${what}`, () => {
    const kept = hashes.map(recorded);
    if (refused === undefined) {
      const judged = judgeHashes(FILE, kept);
      assert.equal(judged.matched.length, matched);
      assert.deepEqual(
        judged.outvoted.map(({ memberId }) => memberId),
        outvoted,
      );
      assert.deepEqual(judged.disregarded, []);
      return;
    }
    // Without an acceptance of each, and with one of another revision, it is refused; else what is disregarded is told.
    const others = [undefined, [], [999n], refused.slice(1)].filter((one) => one?.length !== refused.length);
    for (const accepted of others) {
      assert.throws(
        () => judgeHashes(FILE, kept, accepted),
        (error) =>
          hasCode(error, 'merge.hash-mismatch') &&
          (error.hint ?? '').includes(`--accept-hash-mismatch ${refused[0]}`),
      );
    }
    const { disregarded } = judgeHashes(FILE, kept, refused);
    assert.deepEqual([...new Set(disregarded.map(({ revision }) => revision))], refused);
    assert.ok(disregarded.every(({ found, hash, revision }) => found === Number(revision) && hash !== found));
  });
}

test('of many the newest sixteen revisions are compared', () => {
  const kept = Array.from({ length: 20 }, (_, at) =>
    recorded([1n, 200n + BigInt(at), at < 4 ? 7 : 200 + at]),
  );
  assert.equal(judgeHashes(FILE, kept).matched.length, 16);
});

function recorded([memberId, revision, hash]: readonly [bigint, bigint, number]): RecordedHash {
  const segment = { name: `segment of ${revision}` } as StoredSegment;
  return { memberId, revision, hash, compactRevision: revision < 100n ? 50n : 150n, segment };
}
