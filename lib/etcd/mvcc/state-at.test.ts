import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testRandom } from '../../../test/harness/sampling.ts';
import type { SeededRandom } from '../../../test/harness/seeded-random.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { hasCode } from '../../guardian-error.ts';
import { batchOf } from '../bolt/entry-batch.ts';
import { openBoltFile } from '../bolt/reader.ts';
import { writeBoltFile } from '../bolt/writer.ts';
import { diffStates, type KeyDifference } from './diff.ts';
import { historyOf } from './history.ts';
import { encodeKeyValue, encodeTombstone, type KeyValue } from './key-value.ts';
import { encodeRevisionKey } from './revision.ts';
import { stateAt, withPrefixes } from './state-at.ts';

test('the state at every revision is what was put and not deleted by then', async () => {
  const model = randomHistory(testRandom('state'), 400);
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  await writeStore(path, model.entries);
  await using file = await openBoltFile(path);
  for (let revision = 1n; revision <= model.last; revision += 13n) {
    assert.deepEqual(await collect(stateAt(file, { revision })), model.stateAt(revision), `at ${revision}`);
  }
  assert.deepEqual(await collect(stateAt(file)), model.stateAt(model.last));
  const select = withPrefixes(['/a/1', '/b/']);
  assert.deepEqual(
    await collect(stateAt(file, { select })),
    model.stateAt(model.last).filter(({ key }) => /^\/a\/1|^\/b\//.test(key.toString())),
  );
});

test('the history of a key is all of its changes, in order', async () => {
  const model = randomHistory(testRandom('history'), 400);
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  await writeStore(path, model.entries);
  await using file = await openBoltFile(path);
  for (const name of ['/a/1', '/b/7', '/no/such/key', '']) {
    const key = Buffer.from(name);
    const expected = model.changes.filter((change) => change.key.equals(key));
    const changes = await collect(historyOf(file, key));
    assert.deepEqual(
      changes,
      expected.map(({ main, sub, put }) => ({ main, sub, put })),
    );
  }
});

test('differences are exact, within a file and between files', async () => {
  const model = randomHistory(testRandom('diff'), 300);
  await using folder = await temporaryFolder();
  const paths = [folder.join('x.db'), folder.join('y.db')] as const;
  await writeStore(paths[0], model.entries);
  await writeStore(paths[1], model.entries.slice(0, model.entries.length / 2));
  await using whole = await openBoltFile(paths[0]);
  await using half = await openBoltFile(paths[1]);
  const middle = model.changes[Math.floor(model.entries.length / 2) - 1]?.main ?? 0n;
  for (const [from, to] of [
    [1n, model.last],
    [middle, model.last],
    [model.last, middle],
    [20n, 21n],
    [model.last, model.last],
  ] as const) {
    const differences = await collect(
      diffStates({ file: whole, revision: from }, { file: whole, revision: to }),
    );
    assert.deepEqual(byKey(differences), byKey(model.differences(from, to)), `${from} to ${to}`);
  }
  const acrossFiles = await collect(diffStates({ file: half, revision: middle - 1n }, { file: whole }));
  assert.deepEqual(byKey(acrossFiles), byKey(model.differences(middle - 1n, model.last)));
});

test('equal revisions with other values differ: two files may not share their history', async () => {
  await using folder = await temporaryFolder();
  const paths = [folder.join('x.db'), folder.join('y.db')] as const;
  const record = {
    ...{ key: Buffer.from('k'), createRevision: 2n, modRevision: 2n, version: 1n, lease: 0n },
  };
  for (const [index, path] of paths.entries()) {
    const value = encodeKeyValue({ ...record, value: Buffer.from(`v${index}`) });
    await writeStore(path, [[encodeRevisionKey({ main: 2n, sub: 0n }), value]]);
  }
  await using x = await openBoltFile(paths[0]);
  await using y = await openBoltFile(paths[1]);
  const version = { modRevision: 2n, valueSize: 2 };
  const key = Buffer.from('k');
  assert.deepEqual(await collect(diffStates({ file: x }, { file: y })), [
    { kind: 'changed', key, before: version, after: version, sameValue: false },
  ]);
});

test('revisions that the file does not hold are refused by name', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const model = randomHistory(testRandom('bounds'), 50);
  await writeStore(path, model.entries, [['scheduledCompactRev', encodeRevisionKey({ main: 10n, sub: 0n })]]);
  await using file = await openBoltFile(path);
  await assert.rejects(collect(stateAt(file, { revision: 9n })), (error) => hasCode(error, 'mvcc.compacted'));
  await collect(stateAt(file, { revision: 10n }));
  await assert.rejects(collect(stateAt(file, { revision: model.last + 1n })), (error) =>
    hasCode(error, 'mvcc.future-revision'),
  );
});

test('a store that was bumped or is empty has no key of that', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  await writeStore(path, [[encodeRevisionKey({ main: 1000n, sub: 0n }), Buffer.alloc(0)]]);
  {
    await using bumped = await openBoltFile(path);
    assert.deepEqual(await collect(stateAt(bumped, { revision: 1000n })), []);
  }
  await writeStore(path, []);
  await using empty = await openBoltFile(path);
  assert.deepEqual(await collect(stateAt(empty)), []);
});

test('records that are none are refused', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const good = encodeRevisionKey({ main: 2n, sub: 0n });
  for (const [key, value] of [
    [Buffer.from('not a revision'), Buffer.alloc(0)],
    [good, Buffer.from('0aff', 'hex')],
  ] as const) {
    await writeStore(path, [[key, value]]);
    await using file = await openBoltFile(path);
    await assert.rejects(collect(stateAt(file)), (error) => hasCode(error, 'mvcc.corrupt'));
  }
});

interface Change {
  readonly main: bigint;
  readonly sub: bigint;
  readonly key: Buffer;
  readonly put: KeyValue | undefined;
}

interface Model {
  readonly entries: [Buffer, Buffer][];
  readonly changes: Change[];
  readonly last: bigint;
  stateAt(revision: bigint): KeyValue[];
  differences(from: bigint, to: bigint): KeyDifference[];
}

/** Some history, and the plainest way to tell what follows from it. */
function randomHistory(random: SeededRandom, revisions: number): Model {
  const changes: Change[] = [];
  const live = new Map<string, KeyValue>();
  let main = 1n;
  for (let round = 0; round < revisions; round++) {
    main++;
    const names = new Set(Array.from({ length: random.pick([1, 1, 1, 4]) }, () => randomName(random)));
    let sub = 0n;
    for (const name of names) {
      const old = live.get(name);
      const key = Buffer.from(name);
      if (old !== undefined && random.integer(0, 4) === 0) {
        live.delete(name);
        changes.push({ main, sub: sub++, key, put: undefined });
        continue;
      }
      const put = {
        key,
        createRevision: old?.createRevision ?? main,
        modRevision: main,
        version: (old?.version ?? 0n) + 1n,
        value:
          random.integer(0, 4) === 0 && old !== undefined
            ? old.value
            : Buffer.from(random.bytes(random.integer(0, 3))),
        lease: BigInt(random.integer(0, 2)),
      };
      live.set(name, put);
      changes.push({ main, sub: sub++, key, put });
    }
  }
  const stateAt = (revision: bigint): KeyValue[] => {
    const latest = new Map<string, Change>();
    for (const change of changes) if (change.main <= revision) latest.set(change.key.toString(), change);
    return changes.flatMap((change) =>
      latest.get(change.key.toString()) === change && change.put !== undefined ? [change.put] : [],
    );
  };
  const entries = changes.map(({ main, sub, key, put }): [Buffer, Buffer] => [
    encodeRevisionKey({ main, sub }, put === undefined),
    put === undefined ? encodeTombstone(key) : encodeKeyValue(put),
  ]);
  const differences = (from: bigint, to: bigint): KeyDifference[] =>
    modelDifferences(stateAt(from), stateAt(to));
  return { entries, changes, last: main, stateAt, differences };
}

function modelDifferences(before: KeyValue[], after: KeyValue[]): KeyDifference[] {
  const version = ({ modRevision, value }: KeyValue) => ({ modRevision, valueSize: value.length });
  const find = (records: KeyValue[], key: Buffer) => records.find((record) => record.key.equals(key));
  const removed = before
    .filter(({ key }) => find(after, key) === undefined)
    .map((record): KeyDifference => ({ kind: 'removed', key: record.key, before: version(record) }));
  const rest = after.flatMap((record): KeyDifference[] => {
    const { key } = record;
    const old = find(before, key);
    if (old === undefined) return [{ kind: 'added', key, after: version(record) }];
    const sameValue = old.value.equals(record.value);
    if (sameValue && old.modRevision === record.modRevision) return [];
    return [{ kind: 'changed', key, before: version(old), after: version(record), sameValue }];
  });
  return [...removed, ...rest];
}

function randomName(random: SeededRandom): string {
  return `/${random.pick(['a', 'b', 'c'])}/${random.integer(0, 20)}`;
}

function byKey(differences: KeyDifference[]): KeyDifference[] {
  return differences.sort((a, b) => Buffer.compare(a.key, b.key));
}

async function writeStore(
  path: string,
  entries: [Buffer, Buffer][],
  meta: [string, Buffer][] = [],
): Promise<void> {
  await writeBoltFile(path, [
    { name: 'key', entries: [batchOf(entries)] },
    { name: 'meta', entries: [batchOf(meta.map(([key, value]) => [Buffer.from(key), value]))] },
  ]);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}
