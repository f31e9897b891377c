import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  repositorySettings,
  repositoryWithBackup,
  TestClock,
  testKeys,
} from '../../test/harness/repository.ts';
import {
  appendSegments,
  CAPTURE,
  entriesOfSegment,
  listed,
  readEntries,
  segmentDraft,
} from '../../test/harness/segments.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { hasCode } from '../guardian-error.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { StoredSegment } from './chain.ts';
import { manifestName, segmentName } from './layout.ts';
import { openRepository } from './open-repository.ts';

for (const [name, keys] of [
  ['unsigned and unencrypted', {}],
  ['signed and encrypted', testKeys()],
] as const) {
  test(`segments are appended, listed and read back: ${name}`, async () => {
    await using folder = await temporaryFolder();
    const { repository, backup, snapshot } = await repositoryWithBackup(
      repositorySettings(new LocalStore(folder.path), keys),
    );
    const log = repository.segments;
    const base = snapshot.revision;
    const tail = log.tailOf(backup);
    assert.deepEqual([tail.revision, tail.index, tail.last], [base, 0, undefined]);
    assert.deepEqual(await log.tails('prod'), [tail]);
    assert.deepEqual(await log.chains('prod', tail.timeline), []);

    const lease = { complete: true, granted: [[7n, 60n] as [bigint, bigint]], gone: [] };
    const proofs = [{ hash: 1, revision: base, compactRevision: -1n, memberId: 5n }];
    const gap = { after: 3n, reason: 'compacted' };
    const first = await log.append(
      tail,
      await segmentDraft({ from: base - 4n, to: base + 6n, extras: { leases: lease, proofs, gap } }),
    );
    const [second, third] = await appendSegments(log, first, [base + 7n, base + 5000n]);
    assert.ok(second !== undefined && third !== undefined);

    const all = await listed(log.list(backup));
    assert.ok(all.every(({ state }) => state === 'sound'));
    const segments = all as StoredSegment[];
    assert.deepEqual(
      segments.map(({ head }) => [head.index, head.from, head.base, head.to, head.predecessor]),
      [
        [0, base - 4n, base, base + 6n, backup.manifestSha256],
        [1, base + 6n, undefined, base + 7n, first.last?.sha256],
        [2, base + 7n, undefined, base + 5000n, second.last?.sha256],
      ],
    );
    assert.deepEqual({ state: 'sound', ...first.last }, segments[0]);
    const [head] = segments.map((segment) => segment.head);
    assert.deepEqual([head?.leases, head?.proofs, head?.gap, head?.writer], [lease, proofs, gap, CAPTURE]);
    assert.equal(head?.etcdClusterId, backup.manifest.etcd.clusterId);
    assert.equal(head.recipients.length, 'encryption' in keys ? 1 : 0);

    assert.deepEqual(await readEntries(log, segments), entriesOfSegment(base - 4n, base + 5000n));
    assert.deepEqual(await log.tails('prod'), [third]);
    assert.deepEqual(await log.chains('prod', tail.timeline), [
      { cluster: 'prod', timeline: tail.timeline, id: backup.id, from: base },
    ]);
    // What a list of backups does with segments: nothing.
    assert.deepEqual(
      (await repository.listBackups('prod')).map(({ id }) => id),
      [backup.id],
    );
  });
}

test('a list begins with the segment that holds the next revision', async () => {
  await using folder = await temporaryFolder();
  const { repository, backup } = await repositoryWithBackup(repositorySettings(new LocalStore(folder.path)));
  const log = repository.segments;
  const base = log.tailOf(backup);
  const first = await log.append(base, await segmentDraft({ from: 10n, to: 30n }));
  await appendSegments(log, first, [31n, 50n, 60n]);
  const ends = async (after: bigint): Promise<bigint[]> =>
    (await listed(log.list(backup, { after }))).map((segment) =>
      segment.state === 'sound' ? segment.head.to : -1n,
    );
  for (const [after, expected] of [
    [0n, [30n, 31n, 50n, 60n]],
    [15n, [30n, 31n, 50n, 60n]],
    [29n, [30n, 31n, 50n, 60n]],
    [30n, [31n, 50n, 60n]],
    [31n, [50n, 60n]],
    [49n, [50n, 60n]],
    [59n, [60n]],
    [60n, []],
    [999n, []],
  ] as const) {
    assert.deepEqual(await ends(after), expected, String(after));
  }
});

test('what would lie in the clear does not go on with what is encrypted', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, testKeys()));
  const first = await repository.segments.append(
    repository.segments.tailOf(backup),
    await segmentDraft({ from: 10n, to: 30n }),
  );
  const { segments } = await openRepository({ ...repositorySettings(store), requiresSameKeys: true });
  for (const [tail, draft] of [
    [segments.tailOf(backup), await segmentDraft({ from: 10n, to: 30n })],
    [first, await segmentDraft({ from: 30n, to: 40n })],
  ] as const)
    await assert.rejects(segments.append(tail, draft), { code: 'repository.other-keys' });
});

test('a draft that does not follow its tail is refused', async () => {
  await using folder = await temporaryFolder();
  const { repository, backup, snapshot } = await repositoryWithBackup(
    repositorySettings(new LocalStore(folder.path)),
  );
  const log = repository.segments;
  const base = snapshot.revision;
  const [tail] = await appendSegments(log, log.tailOf(backup), [base + 5n]);
  assert.ok(tail !== undefined);
  for (const [behind, from, to] of [
    [log.tailOf(backup), base + 1n, base + 9n],
    [log.tailOf(backup), base - 9n, base],
    [tail, base + 4n, base + 9n],
    [tail, base + 6n, base + 9n],
  ] as const) {
    await assert.rejects(log.append(behind, await segmentDraft({ from, to })), (error) =>
      hasCode(error, 'repository.segment-place'),
    );
  }
});

test('times never go back from one segment to the next', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock(new Date('2026-11-22T05:30:00Z'));
  const { repository, backup } = await repositoryWithBackup(
    repositorySettings(new LocalStore(folder.path), { clock: clock.read }),
  );
  const log = repository.segments;
  const draft = { clock: clock.read };
  const base = log.tailOf(backup);
  const first = await log.append(
    base,
    await segmentDraft({ from: base.revision, to: base.revision + 2n, ...draft }),
  );
  clock.advance(-60_000);
  const second = await log.append(
    first,
    await segmentDraft({ from: first.revision, to: first.revision + 2n, ...draft }),
  );
  assert.deepEqual(second.last?.head.times, [[second.revision, new Date('2026-11-22T05:30:00Z')]]);
});

test('segments outlive the base that their chain began with, and are never swept for it', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const store = new LocalStore(folder.path, { clock: clock.read });
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, { clock: clock.read }));
  const log = repository.segments;
  const [tail] = await appendSegments(log, log.tailOf(backup), [40n]);
  assert.ok(tail !== undefined);
  await repository.removeBackup(backup, { by: 'alice' });
  clock.advance(50 * 3_600_000);
  const { deleted, unknown } = await repository.sweep();
  assert.deepEqual([deleted.length, unknown], [2, []]);
  await repository.sweep();
  const [segment, ...others] = await listed(log.list(backup));
  assert.ok(segment?.state === 'sound' && others.length === 0);
  assert.equal(segment.name, segmentName(backup, 21n));
  assert.deepEqual(await readEntries(log, [segment]), entriesOfSegment(21n, 40n));
  assert.deepEqual(await log.tails('prod'), [tail]);
  assert.equal(await repository.highWater('prod'), 40n);
  // A store that only holds segments is still read as a repository.
  assert.deepEqual(await (await openRepository(repositorySettings(store))).segments.tails('prod'), [tail]);
});

test('a base whose manifest was lost is no remains of an uncommitted one: segments followed it', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const store = new LocalStore(folder.path, { clock: clock.read });
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, { clock: clock.read }));
  await appendSegments(repository.segments, repository.segments.tailOf(backup), [40n]);
  await store.delete(manifestName(backup));
  clock.advance(50 * 3_600_000);
  assert.deepEqual((await repository.sweep()).deleted, []);
});

test('without a base there is nowhere to go on; a newer base behind the end is another way', async () => {
  await using folder = await temporaryFolder();
  const settings = repositorySettings(new LocalStore(folder.path));
  assert.deepEqual(await (await openRepository(settings)).segments.tails('prod'), []);
  const { repository, backup } = await repositoryWithBackup(settings);
  const log = repository.segments;
  const [tail] = await appendSegments(log, log.tailOf(backup), [25n]);
  const { backup: newer } = await repositoryWithBackup(settings);
  assert.deepEqual(await log.tails('prod'), [tail]);
  assert.equal(newer.manifest.snapshot.currentRevision, 21n);
});
