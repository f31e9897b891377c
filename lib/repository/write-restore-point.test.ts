import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { backUpHistory, captureHistory } from '../../test/harness/made-chain.ts';
import { MadeHistory } from '../../test/harness/made-history.ts';
import { repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { temporaryFolder, type TemporaryFolder } from '../../test/harness/temporary-folder.ts';
import { verifySnapshotFile } from '../etcd/mvcc/verify-snapshot-file.ts';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { StoredSegment } from './chain.ts';
import { openRepository } from './open-repository.ts';
import type { Repository, SoundBackup } from './repository.ts';
import { type PointProgress, writeRestorePoint, type WrittenPoint } from './write-restore-point.ts';

test('a point is made from its base and segments, at the base, within and at the end of segments', async () => {
  await using chain = await madeChain();
  for (const revision of [100n, 101n, 150n, 151n, 199n, 300n]) {
    const steps = new Set<string>();
    const { verdict, path, through } = await chain.write(revision, (progress) => steps.add(progress.step));
    assert.equal(verdict.hashKV, await chain.hashAt(revision), `at ${revision}`);
    const again = await verifySnapshotFile(path, { trailer: 'required' });
    assert.ok(again.sound);
    assert.deepEqual([again.sha256, again.currentRevision], [verdict.sha256, revision]);
    assert.equal(
      through?.head.to,
      revision === 100n ? undefined : revision <= 150n ? 150n : revision <= 200n ? 200n : 300n,
    );
    assert.deepEqual(
      [...steps],
      revision === 100n ? ['fetching', 'verifying'] : ['fetching', 'merging', 'verifying'],
    );
  }
});

test('segments of several chains may overlap, and begin before the base', async () => {
  await using chain = await madeChain();
  const later = await backUpHistory(chain.repository, chain.history, { until: 210n });
  const log = chain.repository.segments;
  await captureHistory(log, log.tailOf(later), chain.history, [320n], { from: 180n });
  const second = await segmentsOf(chain.repository, later);
  const segments = [...chain.segments.slice(0, 2), ...second];
  const { verdict } = await chain.write(310n, undefined, { segments });
  assert.equal(verdict.hashKV, await chain.hashAt(310n));
  const fromSecond = await chain.write(315n, undefined, { base: later, segments: second });
  assert.equal(fromSecond.verdict.hashKV, await chain.hashAt(315n));
});

test('what is missing, damaged or somebody else’s is refused, and leaves nothing behind', async () => {
  await using chain = await madeChain();
  const [first, second, third] = chain.segments;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const foreign = { ...second, head: { ...second.head, timeline: '000009' } };
  const otherBody = { ...second, head: { ...second.head, sha256: first.head.sha256 } };
  for (const [segments, code] of [
    [[first, third], 'merge.gap'],
    [[second, third], 'merge.gap'],
    [[first, second], 'merge.gap'],
    [[], 'merge.gap'],
    [[first, foreign, third], 'repository.misplaced'],
    [[first, otherBody, third], 'repository.damaged'],
  ] as const) {
    await assert.rejects(chain.write(300n, undefined, { segments }), (error) => hasCode(error, code), code);
    assert.deepEqual(await readdir(dirname(chain.path)), []);
  }
  await assert.rejects(chain.write(99n), (error) => hasCode(error, 'merge.gap'));
  const { base } = chain;
  const snapshot = { ...base.manifest.snapshot, sha256: '0'.repeat(64) };
  const other = { ...base, manifest: { ...base.manifest, snapshot } };
  await assert.rejects(chain.write(300n, undefined, { base: other }), (error) =>
    hasCode(error, 'repository.damaged'),
  );
  assert.deepEqual(await readdir(dirname(chain.path)), []);
});

test('a hash that a member kept must be that of the merged history', async () => {
  await using chain = await madeChain({ until: 100n });
  const log = chain.repository.segments;
  const point = { revision: 180n, compactRevision: 120n };
  const hash = await chain.hashAt(180n, 120n);
  const proofs = [{ ...point, hash, memberId: 7n }];
  const tail = (await log.tails('prod'))[0] ?? log.tailOf(chain.base);
  await captureHistory(log, tail, chain.history, [310n], { proofs });
  await captureHistory(log, (await log.tails('prod'))[0] ?? tail, chain.history, [320n], {
    proofs: [{ ...point, hash: (hash ^ 1) >>> 0, memberId: 8n }],
  });
  const segments = await segmentsOf(chain.repository, chain.base);
  const { matched } = await chain.write(305n, undefined, { segments });
  assert.deepEqual(
    matched.map(({ memberId, revision }) => [memberId, revision]),
    [[7n, 180n]],
  );
  // The file no longer tells: everything up to there is dropped. Before that it was compared.
  const compacted = await chain.write(305n, undefined, { segments, compactAt: 200n });
  assert.deepEqual(compacted.matched, []);
  for (const compactAt of [undefined, 200n]) {
    await assert.rejects(
      chain.write(315n, undefined, { segments, compactAt }),
      (error) => hasCode(error, 'merge.hash-mismatch') && (error as Error).message.includes('member 8 '),
    );
  }
  // Where a person says so, that very hash is disregarded, and told.
  for (const compactAt of [undefined, 200n]) {
    const accepted = { segments, compactAt, acceptedMismatches: [180n] };
    const { disregarded, outvoted } = await chain.write(315n, undefined, accepted);
    assert.deepEqual(
      disregarded.map(({ memberId, revision, found }) => [memberId, revision, found]),
      [[8n, 180n, hash]],
    );
    assert.deepEqual(outvoted, []);
    const others = chain.write(315n, undefined, { ...accepted, acceptedMismatches: [179n] });
    await assert.rejects(others, { code: 'merge.hash-mismatch' });
  }
  // A third member decides between the two.
  await captureHistory(log, (await log.tails('prod'))[0] ?? tail, chain.history, [330n], {
    proofs: [{ ...point, hash, memberId: 9n }],
  });
  const all = await segmentsOf(chain.repository, chain.base);
  const voted = await chain.write(325n, undefined, { segments: all });
  assert.deepEqual(
    [voted.matched, voted.outvoted].map((hashes) => hashes.map(({ memberId }) => memberId)),
    [[7n, 9n], [8n]],
  );
});

test('nothing is left when it is aborted', async () => {
  await using chain = await madeChain();
  for (const step of ['fetching', 'merging', 'verifying']) {
    const aborted = new AbortController();
    const stopped = chain.write(
      300n,
      (progress) => {
        if (progress.step === step) aborted.abort(new GuardianError('test.stop', 'enough'));
      },
      { signal: aborted.signal },
    );
    await assert.rejects(stopped, (error) => hasCode(error, 'test.stop'), step);
    assert.deepEqual(await readdir(dirname(chain.path)), []);
  }
});

interface MadeChain extends AsyncDisposable {
  readonly repository: Repository;
  readonly history: MadeHistory;
  readonly base: SoundBackup;
  readonly segments: readonly StoredSegment[];
  readonly path: string;
  write(
    revision: bigint,
    onProgress?: (progress: PointProgress) => void,
    over?: {
      readonly base?: SoundBackup;
      readonly segments?: readonly StoredSegment[];
      readonly compactAt?: bigint | undefined;
      readonly acceptedMismatches?: readonly bigint[];
      readonly signal?: AbortSignal;
    },
  ): Promise<WrittenPoint & { readonly path: string }>;
  /** HashKV of the history itself. */
  hashAt(revision: bigint, compactRevision?: bigint): Promise<number>;
}

/** A base at revision 100 and segments up to 150, 200 and 300, signed and encrypted. */
async function madeChain({ until = 100n } = {}): Promise<MadeChain> {
  const folder: TemporaryFolder = await temporaryFolder();
  const history = new MadeHistory();
  history.grow(testRandom('chain'), 400, [5n]);
  const store = new LocalStore(folder.join('store'));
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const base = await backUpHistory(repository, history, { until, leases: [[5n, 60n]] });
  const log = repository.segments;
  await captureHistory(log, log.tailOf(base), history, [150n, 200n, 300n]);
  const segments = await segmentsOf(repository, base);
  const path = folder.join('made', 'merged.db');
  const whole = folder.join('whole.db');
  await history.writeBase(whole);
  await mkdir(dirname(path));
  return {
    ...{ repository, history, base, segments, path },
    async write(revision, onProgress, over = {}) {
      const parts = { base, segments, revision, ...over };
      const { compactAt, acceptedMismatches } = over;
      const options = { onProgress, compactAt, acceptedMismatches, signal: over.signal };
      const target = join(dirname(path), `${revision}-${over.compactAt ?? ''}.db`);
      return { ...(await writeRestorePoint({ repository, log }, parts, target, options)), path: target };
    },
    async hashAt(revision, compactRevision = -1n) {
      return (await verifySnapshotFile(whole, { trailer: 'required' })).hashKVAt({
        revision,
        compactRevision,
      });
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
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
