import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { MadeHistory } from '../../../test/harness/made-history.ts';
import { testRandom } from '../../../test/harness/sampling.ts';
import { temporaryFolder, type TemporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { hasCode } from '../../guardian-error.ts';
import { batchOf, type EntryBatch, keyOf, valueOf } from '../bolt/entry-batch.ts';
import { openBoltFile } from '../bolt/reader.ts';
import { decodeLease } from './lease.ts';
import type { LaterHistory } from './merge-history.ts';
import { makeSnapshotAt, type SnapshotAtOptions } from './snapshot-at.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';
import { verifySnapshotFile } from './verify-snapshot-file.ts';

const LEASES = [1n, 0x7fff_ffff_ffff_fff1n, -5n];

test('a base and what followed give the store of every revision, within a transaction’s batch too', async () => {
  const random = testRandom('merge');
  const history = new MadeHistory();
  history.grow(random, 300, LEASES);
  await using folder = await temporaryFolder();
  for (const [until, revision] of [
    [1n, history.revision],
    [1n, 1n],
    [40n, 41n],
    [100n, 250n],
    [history.revision, history.revision],
  ] as const) {
    const pageSize = random.pick([1024, 4096, 65536]);
    const { verdict, path } = await merged(folder, history, until, revision, { pageSize });
    assert.deepEqual(await keyBucket(path), upTo(history, revision), `${until} to ${revision}`);
    assert.equal(verdict.currentRevision, revision);
    // It ends in the sha256 of the rest, and any verification of ours says the same.
    const bytes = await readFile(path);
    const digest = createHash('sha256').update(bytes.subarray(0, -32)).digest('hex');
    assert.equal(digest, bytes.subarray(-32).toString('hex'));
    assert.equal(verdict.sha256, digest);
    const again = await verifySnapshotFile(path, { trailer: 'required' });
    assert.ok(again.sound);
    assert.deepEqual([again.hashKV, again.size], [verdict.hashKV, verdict.size]);
  }
});

test('where nothing follows, the file stays as it is, its trailer included', async () => {
  const history = new MadeHistory();
  history.grow(testRandom('same'), 50);
  await using folder = await temporaryFolder();
  const untouched = folder.join('untouched.db');
  await history.writeBase(untouched, { leases: [[5n, 10n]] });
  const { path } = await merged(folder, history, history.revision, history.revision, { leases: [[5n, 10n]] });
  assert.deepEqual(await readFile(path), await readFile(untouched));
});

test('a compaction leaves what etcd leaves, and marks itself as done', async () => {
  const random = testRandom('compaction');
  const history = new MadeHistory();
  history.grow(random, 200);
  history.delete('/k/1', '/k/2', '/k/3');
  const deletion = history.revision;
  history.grow(random, 100);
  await using folder = await temporaryFolder();
  const whole = await merged(folder, history, 50n, history.revision);
  for (const compactAt of [-1n, 2n, 100n, deletion, deletion + 1n, history.revision]) {
    const { verdict, path } = await merged(folder, history, 50n, history.revision, {}, { compactAt });
    assert.deepEqual(await keyBucket(path), compacted(history, compactAt), `at ${compactAt}`);
    assert.deepEqual([verdict.compactRevision, verdict.compacting], [compactAt, false]);
    const point = { revision: history.revision, compactRevision: compactAt };
    assert.equal(verdict.hashKV, whole.verdict.hashKVAt(point));
    if (compactAt > 50n) assert.ok(verdict.totalSize < whole.verdict.totalSize);
  }
  await assert.rejects(
    merged(folder, history, 50n, 60n, {}, { compactAt: 61n }),
    (error) => hasCode(error, 'mvcc.compacted') || hasCode(error, 'mvcc.future-revision'),
  );
});

test('a compaction that the base had not finished stays so, or is finished on request', async () => {
  const history = new MadeHistory();
  history.grow(testRandom('half-done'), 200);
  await using folder = await temporaryFolder();
  const base = { scheduled: 90n, finished: 30n };
  const kept = await merged(folder, history, 120n, 150n, base);
  assert.deepEqual([kept.verdict.compactRevision, kept.verdict.compacting], [90n, true]);
  const finished = await merged(folder, history, 120n, 150n, base, { compactAt: 90n });
  assert.deepEqual([finished.verdict.compactRevision, finished.verdict.compacting], [90n, false]);
  assert.equal(finished.verdict.hashKV, kept.verdict.hashKV);
});

test('a history that lacks a change is refused', async () => {
  const history = new MadeHistory();
  for (let number = 0; number < 20; number++) {
    history.commit([
      { key: 'a', put: `${number}` },
      { key: 'b', put: `${number}` },
    ]);
  }
  await using folder = await temporaryFolder();
  const without = (...missing: readonly string[]): EntryBatch[] =>
    history.entries
      .filter(({ main, sub }) => main > 8n && !missing.includes(`${main}.${sub}`))
      .map(({ key, value }) => batchOf([[key, value]]));
  for (const [what, entries, revision] of [
    ['the first change', without('11.0'), 15n],
    ['the first change of a transaction', without('12.0'), 15n],
    ['a whole transaction', without('12.0', '12.1'), 15n],
    ['the first transactions', [...history.batches(11n)], 15n],
    ['the last transactions', [...history.batches(8n, 14n)], 15n],
    ['everything', [], 15n],
    ['what is not there yet', [...history.batches(8n)], 99n],
  ] as const) {
    const path = folder.join('gap.db');
    await history.writeBase(path, { until: 10n });
    const later = { revision, entries, leases: [] };
    await assert.rejects(makeSnapshotAt(path, later), (error) => hasCode(error, 'merge.gap'), what);
  }
});

test('a bump record of an earlier restore is carried on, and compacted as etcd does', async () => {
  const history = new MadeHistory();
  history.put('a', '1');
  history.put('a', '2');
  history.bump(1000n);
  history.put('a', '3');
  history.put('b', '1');
  await using folder = await temporaryFolder();
  const base = { scheduled: 1000n };
  const { path, verdict } = await merged(folder, history, 1000n, 1002n, base);
  assert.deepEqual(await keyBucket(path), upTo(history, 1002n));
  assert.deepEqual([verdict.currentRevision, verdict.compactRevision], [1002n, 1000n]);
  const later = await merged(folder, history, 1000n, 1002n, base, { compactAt: 1002n });
  assert.deepEqual(await keyBucket(later.path), compacted(history, 1002n));
});

test('alarms stay, and go where that is wanted', async () => {
  const history = new MadeHistory();
  history.grow(testRandom('alarm'), 20);
  await using folder = await temporaryFolder();
  for (const revision of [15n, history.revision]) {
    const base = { alarm: true };
    const kept = await merged(folder, history, 15n, revision, base);
    assert.equal(kept.verdict.alarms.length, 1);
    const cleared = await merged(folder, history, 15n, revision, base, { clearAlarms: true });
    assert.equal(cleared.verdict.alarms.length, 0);
    assert.equal(cleared.verdict.hashKV, kept.verdict.hashKV);
  }
});

test('leases are those known to be there and those that live keys name, granted anew', async () => {
  const history = new MadeHistory();
  history.put('kept', 'x', 1n);
  history.put('moved', 'x', 2n);
  history.put('unleased', 'x', 3n);
  history.put('deleted', 'x', 4n);
  history.put('orphan', 'x', 99n);
  const base = history.revision;
  history.put('moved', 'y', 5n);
  history.put('unleased', 'y');
  history.delete('deleted');
  history.put('short-lived', 'x', 6n);
  history.put('gone-but-live', 'x', 7n);
  history.put('twice', 'x', 8n);
  history.put('twice', 'y', -9n);
  await using folder = await temporaryFolder();
  const { path, verdict } = await merged(
    folder,
    history,
    base,
    history.revision,
    { leases: [1n, 2n, 3n, 4n, 50n].map((id) => [id, 100n + id] as const) },
    {},
    [
      {
        complete: false,
        granted: [
          [5n, 500n],
          [7n, 700n],
          [60n, 600n],
        ],
        gone: [2n],
      },
      { complete: false, granted: [[-9n, 900n]], gone: [7n, 3n] },
    ],
  );
  assert.deepEqual(await leaseBucket(path), [
    ...([
      [1n, 101n],
      [4n, 104n],
      [5n, 500n],
    ] as const),
    // Named by a live key: one whose TTL nobody learnt, one that was gone when the leases were last looked at.
    ...([
      [6n, 3600n],
      [7n, 700n],
    ] as const),
    ...([
      [50n, 150n],
      [60n, 600n],
      [-9n, 900n],
    ] as const),
  ]);
  // What was under a lease that didn't exist never expired, and doesn't now.
  assert.equal(verdict.orphanLeases, 1);
});

test('a complete table of leases takes the place of the base’s', async () => {
  const history = new MadeHistory();
  history.put('a', 'x', 1n);
  history.put('b', 'x');
  await using folder = await temporaryFolder();
  const { path } = await merged(
    folder,
    history,
    2n,
    3n,
    {
      leases: [
        [1n, 10n],
        [2n, 20n],
        [3n, 30n],
      ],
    },
    {},
    [
      {
        complete: true,
        granted: [
          [3n, 30n],
          [4n, 40n],
        ],
        gone: [],
      },
    ],
  );
  assert.deepEqual(await leaseBucket(path), [
    [1n, 10n],
    [3n, 30n],
    [4n, 40n],
  ]);
});

interface Merged {
  readonly path: string;
  readonly verdict: SnapshotVerdict;
}

async function merged(
  folder: TemporaryFolder,
  history: MadeHistory,
  until: bigint,
  revision: bigint,
  base: Parameters<MadeHistory['writeBase']>[1] = {},
  options: SnapshotAtOptions = {},
  leases: LaterHistory['leases'] = [],
): Promise<Merged> {
  const path = folder.join('merged.db');
  await history.writeBase(path, { ...base, until });
  // Segments begin before the base, and go on behind what is wanted.
  const entries = history.batches(until - 5n);
  const verdict = await makeSnapshotAt(path, { revision, entries, leases }, options);
  return { path, verdict };
}

type Pair = readonly [key: string, value: string];

async function keyBucket(path: string): Promise<Pair[]> {
  await using file = await openBoltFile(path);
  const pairs: Pair[] = [];
  for await (const batch of file.entries('key')) {
    for (let index = 0; index < batch.count; index++)
      pairs.push([keyOf(batch, index).toString('hex'), valueOf(batch, index).toString('hex')]);
  }
  return pairs;
}

async function leaseBucket(path: string): Promise<(readonly [bigint, bigint])[]> {
  await using file = await openBoltFile(path);
  const leases: (readonly [bigint, bigint])[] = [];
  for await (const batch of file.entries('lease')) {
    for (let index = 0; index < batch.count; index++) {
      const lease = decodeLease(valueOf(batch, index));
      leases.push([lease?.id ?? 0n, lease?.ttlSeconds ?? 0n]);
      assert.equal(lease?.remainingSeconds, 0n);
    }
  }
  return leases;
}

function upTo(history: MadeHistory, revision: bigint): Pair[] {
  return history.entries
    .filter(({ main }) => main <= revision)
    .map(({ key, value }) => [key.toString('hex'), value.toString('hex')] as const);
}

/** By the letter of etcd's rule, a key at a time. */
function compacted(history: MadeHistory, compactAt: bigint): Pair[] {
  const dropped = new Set<string>();
  const users = Map.groupBy(history.entries, ({ user }) => user);
  for (const entries of users.values()) {
    const old = entries.filter(({ main }) => main <= compactAt);
    const last = old.at(-1);
    for (const entry of old) {
      const stays = entry === last && (!entry.tombstone || entry.main === compactAt);
      if (!stays) dropped.add(entry.key.toString('hex'));
    }
  }
  return upTo(history, history.revision).filter(([key]) => !dropped.has(key));
}
