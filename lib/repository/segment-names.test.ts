import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOnlyStore } from '../../test/harness/objects-in-memory.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { chainFolder, segmentName } from './layout.ts';
import { lastSegmentUpTo, lastUsable, type NamedSegment } from './segment-names.ts';

const chain = { cluster: 'prod', timeline: '000001', id: '20261122T053000Z-9f3ac1d0' };
const LARGEST = 2n ** 63n - 1n;

test('the last name up to a limit is found among any number, evenly spread or not', async () => {
  const random = testRandom('names');
  const spreads: Record<string, bigint[]> = {
    none: [],
    one: [7_000_000_000n],
    'close together': Array.from({ length: 2500 }, (_, at) => 7_000_000_000n + BigInt(at)),
    'far apart': Array.from({ length: 3000 }, (_, at) => BigInt(at) * 5_000_000_000n),
    'many, then a pause, then many': [0, 1].flatMap((part) =>
      Array.from({ length: 2200 }, (_, at) => BigInt(part) * 10n ** 15n + BigInt(at * 700)),
    ),
    'and one at the very end': [...Array.from({ length: 4100 }, (_, at) => BigInt(at * 3)), LARGEST],
  };
  for (const [name, revisions] of Object.entries(spreads)) {
    const { store, requests } = counting(revisions);
    const some = Array.from({ length: 12 }, () => random.pick(revisions.length > 0 ? revisions : [5n]));
    for (const limit of [
      0n,
      1n,
      LARGEST,
      ...some.flatMap((each) => [each, each + 1n, each > 0n ? each - 1n : 0n]),
    ]) {
      const expected = revisions.findLast((revision) => revision <= limit);
      const before = requests();
      assert.equal(
        (await lastSegmentUpTo(store, chain, limit, undefined))?.follows,
        expected,
        `${name}, ${limit}`,
      );
      assert.ok(requests() - before <= 60, `${name}, ${limit}: ${requests() - before} requests`);
    }
  }
});

test('the end of a hundred thousand segments is found with few requests', async () => {
  const { store, requests } = counting(Array.from({ length: 100_000 }, (_, at) => BigInt(at) * 930n));
  assert.equal((await lastSegmentUpTo(store, chain, LARGEST, undefined))?.follows, 99_999n * 930n);
  assert.ok(requests() <= 15, String(requests()));
});

test('names of others among them are passed over', async () => {
  const store = readOnlyStore(
    new Map(
      [segmentName(chain, 5n), `${chainFolder(chain)}segments/9.tmp`].map((name) => [name, Buffer.alloc(1)]),
    ),
  );
  assert.equal((await lastSegmentUpTo(store, chain, LARGEST, undefined))?.follows, 5n);
});

/** A store of empty segments that counts how often it is listed; sorted once, as there are many. */
function counting(revisions: readonly bigint[]): { store: ObjectStore; requests: () => number } {
  const names = revisions.map((revision) => segmentName(chain, revision));
  let requests = 0;
  const list: ObjectStore['list'] = async function* (_prefix, { after = '' } = {}) {
    requests++;
    let [low, high] = [0, names.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((names[middle] ?? '') <= after) low = middle + 1;
      else high = middle;
    }
    for (const name of names.slice(low)) {
      yield await Promise.resolve({ name, size: 1, modifiedAt: new Date(0), version: '1' });
    }
  };
  return { store: { ...readOnlyStore(new Map()), list }, requests: () => requests };
}

test('the last one of use is found behind any number of others, and these are told', async () => {
  for (const [ours, junk] of [
    [5000, 0],
    [5000, 17],
    [5000, 3000],
    [0, 40],
    [3, 5000],
  ] as const) {
    const end = BigInt(ours) * 930n;
    const names = [
      ...Array.from({ length: ours }, (_, at) => BigInt(at) * 930n),
      ...Array.from({ length: junk }, (_, at) => end + BigInt(at) * BigInt(at % 2 === 0 ? 1 : 7)),
    ].sort((a, b) => (a < b ? -1 : 1));
    const { store, requests } = counting([...new Set(names)]);
    const read = ({ follows }: NamedSegment) =>
      Promise.resolve({ state: follows < end ? 'sound' : 'broken', follows });
    const { found, unusable } = await lastUsable(store, chain, LARGEST, read, undefined);
    const isFound = ours > 0 && junk < 4096;
    assert.equal(found?.follows, isFound ? end - 930n : undefined, `${ours} and ${junk}`);
    if (isFound) assert.equal(unusable.length, new Set(names).size - ours);
    assert.ok(requests() < 400, `${ours} and ${junk}: ${requests()} requests`);
  }
});
