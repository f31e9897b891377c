import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { backUpHistory, captureHistory } from '../../test/harness/made-chain.ts';
import { MadeHistory } from '../../test/harness/made-history.ts';
import { ETCD_CLUSTER, repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { temporaryFolder, type TemporaryFolder } from '../../test/harness/temporary-folder.ts';
import { hasCode } from '../guardian-error.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { ChainTail, StoredSegment } from './chain.ts';
import { openRepository } from './open-repository.ts';
import type { Repository, SoundBackup } from './repository.ts';
import { synthesizeBase } from './synthesize-base.ts';
import { writeRestorePoint } from './write-restore-point.ts';

test('a base is made of a base and segments, says so, and serves the segments behind it', async () => {
  await using chain = await madeChain(['150', '200']);
  const { repository, base, segments } = chain;
  const made = await chain.synthesize(200n, { labels: { schedule: 'nightly' } });
  assert.deepEqual(made.manifest.synthetic, { base: base.id, through: segments[1]?.name });
  assert.deepEqual([made.timeline, made.manifest.etcd], [base.timeline, base.manifest.etcd]);
  assert.deepEqual([made.manifest.proof.kind, made.manifest.labels], ['none', { schedule: 'nightly' }]);
  assert.equal(made.manifest.snapshot.currentRevision, 200n);
  assert.deepEqual([base.manifest.snapshot.alarms.length, made.manifest.snapshot.alarms.length], [1, 0]);

  // It is a backup like any other: found, verified to the last byte, and what is captured goes on behind it.
  assert.equal((await repository.find('prod', 'latest')).backup.id, made.id);
  const report = await repository.verifyBackup(made, { depth: 'deep' });
  assert.deepEqual([report.problems, report.sound], [[], true]);
  await captureHistory(repository.segments, await chain.tail(), chain.history, [260n]);
  const all = await segmentsOf(repository, base);
  const from = async (one: SoundBackup, name: string): Promise<number> => {
    const parts = { base: one, segments: all, revision: 255n };
    const path = chain.folder.join(name);
    return (await writeRestorePoint({ repository, log: repository.segments }, parts, path)).verdict.hashKV;
  };
  assert.equal(await from(made, 'a.db'), await from(base, 'b.db'));
});

test('a hash that a member had kept proves the new base', async () => {
  await using chain = await madeChain(['150']);
  const { repository } = chain;
  const path = chain.folder.join('x.db');
  const parts = { base: chain.base, segments: chain.segments, revision: 150n };
  const { verdict } = await writeRestorePoint({ repository, log: repository.segments }, parts, path);
  const point = { revision: 140n, compactRevision: 110n };
  const proof = { ...point, hash: verdict.hashKVAt(point), memberId: 9n };
  await captureHistory(repository.segments, await chain.tail(), chain.history, [200n], { proofs: [proof] });
  const made = await chain.synthesize(200n);
  const through = (await segmentsOf(repository, chain.base)).at(-1);
  assert.deepEqual(made.manifest.proof, {
    ...{ kind: 'compaction-hashkv', ...proof },
    ...{ endpoint: through?.name, provenAt: through?.head.sealedAt },
  });
  assert.ok((await repository.verifyBackup(made, { depth: 'deep' })).sound);
});

test('history may be dropped on the way', async () => {
  await using chain = await madeChain(['200']);
  const made = await chain.synthesize(200n, { compactAt: 180n });
  assert.deepEqual(made.manifest.snapshot.compactRevision, 180n);
  assert.ok((await chain.repository.verifyBackup(made, { depth: 'deep' })).sound);
});

test('nothing is added to a timeline that ended, and none begins for it', async () => {
  await using chain = await madeChain(['200']);
  const { repository } = chain;
  await repository.beginTimeline({ cluster: 'prod', etcdClusterId: ETCD_CLUSTER, reason: 'restored' });
  await assert.rejects(chain.synthesize(200n), (error) => hasCode(error, 'repository.other-timeline'));
  assert.equal((await repository.listTimelines('prod')).length, 2);
  assert.equal((await repository.listBackups('prod')).length, 1);
});

test('what contradicts the newest backup of the timeline is not stored, and begins no other', async () => {
  await using chain = await madeChain(['200']);
  const { repository } = chain;
  // The same keys at the same revisions, with other values: entries that one of them has superseded contradict nothing.
  const other = new MadeHistory();
  const random = testRandom('synthetic');
  other.grow({ ...random, bytes: (count) => random.bytes(count).map((byte) => byte ^ 1) }, 400, [7n]);
  await backUpHistory(repository, other, { until: 200n }, { entryAt: () => undefined });
  await assert.rejects(chain.synthesize(200n), (error) => hasCode(error, 'repository.history-differs'));
  assert.equal((await repository.listTimelines('prod')).length, 1);
  assert.equal((await repository.listBackups('prod')).length, 2);
});

test('merging up to where the base is already is refused', async () => {
  await using chain = await madeChain(['200']);
  await assert.rejects(chain.synthesize(100n), (error) => hasCode(error, 'merge.nothing'));
});

interface MadeChain extends AsyncDisposable {
  readonly repository: Repository;
  readonly history: MadeHistory;
  readonly base: SoundBackup;
  readonly segments: readonly StoredSegment[];
  readonly folder: TemporaryFolder;
  tail(): Promise<ChainTail>;
  synthesize(revision: bigint, over?: object): Promise<SoundBackup>;
}

/** A base at revision 100, with an alarm, and segments that end at these revisions, signed and encrypted. */
async function madeChain(ends: readonly string[]): Promise<MadeChain> {
  const folder = await temporaryFolder();
  const history = new MadeHistory();
  history.grow(testRandom('synthetic'), 400, [5n]);
  const repository = await openRepository(
    repositorySettings(new LocalStore(folder.join('store')), testKeys()),
  );
  const log = repository.segments;
  const base = await backUpHistory(repository, history, { until: 100n, alarm: true });
  await captureHistory(log, log.tailOf(base), history, ends.map(BigInt));
  const scratch = await temporaryFolder();
  return {
    ...{ repository, history, base, folder, segments: await segmentsOf(repository, base) },
    async tail() {
      const [tail] = await log.tails('prod');
      assert.ok(tail !== undefined);
      return tail;
    },
    async synthesize(revision, over = {}) {
      const request = { base, segments: await segmentsOf(repository, base), revision, ...over };
      try {
        return await synthesizeBase(request, { repository, log, folder: scratch.path });
      } finally {
        assert.deepEqual(await readdir(scratch.path), []);
      }
    },
    async [Symbol.asyncDispose]() {
      await scratch[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function segmentsOf(repository: Repository, base: SoundBackup): Promise<StoredSegment[]> {
  const segments: StoredSegment[] = [];
  for await (const segment of repository.segments.list(base)) {
    assert.ok(segment.state === 'sound');
    segments.push(segment);
  }
  return segments;
}
