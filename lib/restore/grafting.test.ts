import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { backUpHistory, captureHistory } from '../../test/harness/made-chain.ts';
import { MadeHistory } from '../../test/harness/made-history.ts';
import { randomGrafts, withGrafts } from '../../test/harness/random-grafts.ts';
import { repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { testRandom, WHOLE_MATRIX } from '../../test/harness/sampling.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { keyOf, valueOf } from '../etcd/bolt/entry-batch.ts';
import { openBoltFile } from '../etcd/bolt/reader.ts';
import { decodeKeyValue } from '../etcd/mvcc/key-value.ts';
import { decodeRevisionKey } from '../etcd/mvcc/revision.ts';
import { verifySnapshotFile } from '../etcd/mvcc/verify-snapshot-file.ts';
import { hasCode } from '../guardian-error.ts';
import { openRepository } from '../repository/open-repository.ts';
import { LocalStore } from '../storage/local-store.ts';
import { mergedSource } from './merged-source.ts';
import { restoreOffline, type Restored } from './offline-restore.ts';
import { planRestore, type RestorePlan } from './restore-plan.ts';
import type { SnapshotSource } from './snapshot-source.ts';

const QUIET = { onStep: () => undefined };

test('whatever the grafts, they come on top of the data alike from a snapshot and from a merged point', async () => {
  await using folder = await temporaryFolder();
  const random = testRandom('grafting');
  const history = new MadeHistory();
  history.grow(random, 150);
  // An earlier restore's bump is there, too.
  history.bump(1_000n);
  history.grow(random, 150);
  const store = new LocalStore(folder.join('store'));
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const log = repository.segments;
  const base = await backUpHistory(repository, history, { until: 1_030n });
  const { last } = await captureHistory(log, log.tailOf(base), history, [1_100n]);
  assert.ok(last !== undefined);
  for (let round = 0; round < (WHOLE_MATRIX ? 20 : 4); round++) {
    const revision = BigInt(random.integer(1_031, 1_099));
    const file = folder.join(`${round}.db`);
    await history.writeBase(file, { until: revision });
    const { size, totalSize } = await verifySnapshotFile(file, { trailer: 'required' });
    const snapshot: SnapshotSource = {
      ...{ label: 'a snapshot', open: () => createReadStream(file), size: totalSize, trailer: 'required' },
    };
    assert.ok(size > totalSize);
    const merged = mergedSource(repository, log, { base, segments: [last], revision });
    const grafts = randomGrafts(random, '/k/');
    const expected = withGrafts(dataAt(history, revision), grafts);

    const both: Restored[] = [];
    for (const [name, source] of [
      ['whole', snapshot],
      ['merged', merged],
    ] as const) {
      const restored = await restoreOffline(
        source,
        { ...plan(folder.join(`${name}-${round}`), revision), grafts },
        QUIET,
      );
      both.push(restored);
      assert.deepEqual(restored.onTop, { deleted: expected.gone.length, put: expected.put.length });
      for (const { dataDir } of restored.dirs) {
        const made = await contentOf(join(dataDir, 'member', 'snap', 'db'), revision);
        assert.deepEqual(made.data, expected.data);
        const gone = made.above.filter(({ tombstone }) => tombstone);
        const put = made.above.filter(({ tombstone }) => !tombstone);
        const putAt = revision + (gone.length === 0 ? 1n : 2n);
        assert.deepEqual(
          gone,
          expected.gone.map((key, at) => ({ main: revision + 1n, sub: BigInt(at), tombstone: true, key })),
        );
        assert.deepEqual(
          put.slice(0, -1),
          expected.put.map((key, at) => ({ main: putAt, sub: BigInt(at), tombstone: false, key })),
        );
        assert.deepEqual(put.at(-1), { main: restored.revision, sub: 0n, tombstone: false, key: '' });
      }
    }
    assert.equal(both[0]?.hashKV, both[1]?.hashKV);
    assert.equal(both[0]?.verdict.hashKV, both[1]?.verdict.hashKV);
  }
});

test('grafts without a bump, or with one that is too low, leave nothing behind', async () => {
  await using folder = await temporaryFolder();
  const history = new MadeHistory();
  history.put('/a', 'old');
  const file = folder.join('snapshot.db');
  await history.writeBase(file);
  const source: SnapshotSource = {
    ...{ label: 'a snapshot', open: () => createReadStream(file), size: 40_960, trailer: 'required' },
  };
  const grafts = { items: [{ key: Buffer.from('/a'), value: Buffer.from('secret') }], prefixes: [] };
  const unbumped = { ...plan(folder.join('none'), 2n), bumpTo: undefined, grafts };
  await assert.rejects(restoreOffline(source, unbumped, QUIET), (error) => hasCode(error, 'restore.grafts'));
  // The data ends at 2, what is on top of it at 4.
  for (const bumpTo of [3n, 4n]) {
    const low = { ...plan(folder.join('low'), 2n), bumpTo, grafts };
    await assert.rejects(restoreOffline(source, low, QUIET), (error) =>
      hasCode(error, 'restore.bump-too-low'),
    );
  }
  const least = await restoreOffline(
    source,
    { ...plan(folder.join('least'), 2n), bumpTo: 5n, grafts },
    QUIET,
  );
  assert.equal(least.revision, 5n);
});

function plan(dataDir: string, revision: bigint): RestorePlan {
  const request = { dataDir, initialCluster: 'm1=http://a:2380,m2=http://b:2380', allMembers: true } as const;
  return planRestore(
    { ...request, bump: 'auto' },
    { identity: 'x', currentRevision: revision, highWater: revision },
  );
}

function dataAt(history: MadeHistory, revision: bigint): Map<string, string> {
  const data = new Map<string, string>();
  for (const { main, tombstone, user, value } of history.entries) {
    if (main > revision || user === '') continue;
    if (tombstone) data.delete(user);
    else data.set(user, decodeKeyValue(value).value.toString('latin1'));
  }
  return data;
}

/** All live keys, and the entries above a revision. */
async function contentOf(
  path: string,
  revision: bigint,
): Promise<{
  data: Map<string, string>;
  above: { main: bigint; sub: bigint; tombstone: boolean; key: string }[];
}> {
  await using file = await openBoltFile(path);
  const data = new Map<string, string>();
  const above: { main: bigint; sub: bigint; tombstone: boolean; key: string }[] = [];
  for await (const batch of file.entries('key')) {
    for (let at = 0; at < batch.count; at++) {
      const entry = decodeRevisionKey(keyOf(batch, at));
      const { key, value, createRevision, version } = decodeKeyValue(valueOf(batch, at));
      assert.ok(entry !== undefined);
      const name = key.toString('latin1');
      if (name !== '') {
        if (entry.tombstone) data.delete(name);
        else data.set(name, value.toString('latin1'));
      }
      if (entry.main <= revision) continue;
      above.push({ ...entry, key: name });
      if (!entry.tombstone && name !== '') assert.deepEqual([createRevision, version], [entry.main, 1n]);
    }
  }
  return { data, above };
}
