import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backUp, ETCD_CLUSTER, repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { appendSegments } from '../../test/harness/segments.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { LocalStore } from '../storage/local-store.ts';
import { highWaterName, timelineName } from './layout.ts';
import { openRepository } from './open-repository.ts';
import { breakOfHistory, contradictedAnchor, type TimelineReason } from './pick-timeline.ts';

test('history goes on, or breaks for one reason', () => {
  const known = { etcdClusterId: 7n, highWater: 100n };
  const cases: [TimelineReason | undefined, typeof known | undefined, bigint, bigint][] = [
    ['first', undefined, 7n, 100n],
    [undefined, known, 7n, 100n],
    [undefined, known, 7n, 5000n],
    ['revision-went-back', known, 7n, 99n],
    ['cluster-id-changed', known, 8n, 5000n],
    [undefined, { etcdClusterId: 7n, highWater: 0n }, 7n, 1n],
  ];
  for (const [reason, before, etcdClusterId, clusterRevision] of cases) {
    assert.equal(breakOfHistory(before, { etcdClusterId, clusterRevision }), reason);
  }
});

test('an anchor that is gone was compacted; one that differs belongs to another history', async () => {
  const anchors = [2n, 3n, 4n].map((main) => ({ main, sub: 0n, checksum: Number(main), size: 10 }));
  const same = await contradictedAnchor(anchors, ({ main, checksum }) =>
    main === 3n ? undefined : { checksum, size: 10 },
  );
  assert.equal(same, undefined);
  for (const other of [
    { checksum: 5, size: 10 },
    { checksum: 4, size: 11 },
  ]) {
    const found = await contradictedAnchor(anchors, ({ main, checksum }) =>
      Promise.resolve(main === 4n ? other : { checksum, size: 10 }),
    );
    assert.equal(found?.main, 4n);
  }
});

test('a cluster behind what was captured of it went back, unless it has moved on meanwhile', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path), testKeys()));
  const log = repository.segments;
  const backup = await backUp(repository, await smallSnapshot({ keys: 10 }));
  await appendSegments(log, log.tailOf(backup), [50n, 100n]);
  const timelineAt = async (clusterRevision: bigint, latest: bigint | Error | undefined): Promise<string> => {
    const answer =
      latest instanceof Error ? () => Promise.reject(latest) : () => Promise.resolve(latest ?? 0n);
    const latestRevision = latest === undefined ? undefined : answer;
    const request = { cluster: 'prod', etcdClusterId: ETCD_CLUSTER, clusterRevision, latestRevision };
    return (await repository.beginBackup(request)).timeline;
  };
  // Captured while we looked; not asked at all; not asked for.
  assert.equal(await timelineAt(60n, 100n), '000001');
  assert.equal(await timelineAt(100n, 0n), '000001');
  assert.equal(await timelineAt(60n, undefined), '000001');
  assert.equal(await timelineAt(60n, new GuardianError('etcd.unavailable', 'no leader')), '000001');
  assert.equal(await timelineAt(60n, 99n), '000002');
});

test('a backup that others overtake while it begins stays on the timeline', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path), testKeys()));
  const { manifest } = await backUp(repository, await smallSnapshot({ keys: 10 }));
  const newest = manifest.snapshot.currentRevision;
  const begin = async (latestRevision: () => Promise<bigint>): Promise<string> => {
    const seen = { etcdClusterId: ETCD_CLUSTER, clusterRevision: newest - 1n };
    return (await repository.beginBackup({ cluster: 'prod', ...seen, latestRevision })).timeline;
  };
  assert.equal(await begin(() => Promise.resolve(newest)), '000001');
  assert.equal(await begin(() => Promise.resolve(newest - 1n)), '000002');
});

test('a cluster id that changes, and a revision that goes back, begin a new timeline', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path), testKeys()));
  const [old, grown] = [await smallSnapshot({ keys: 10 }), await smallSnapshot({ keys: 30 })];
  assert.equal((await backUp(repository, grown)).timeline, '000001');
  assert.equal((await backUp(repository, grown)).timeline, '000001');
  assert.equal((await backUp(repository, old)).timeline, '000002');
  const etcdClusterId = 0x1234n;
  const facts = {
    etcd: { ...(await repository.find('prod', 'latest')).backup.manifest.etcd, clusterId: etcdClusterId },
  };
  assert.equal((await backUp(repository, grown, { request: { etcdClusterId }, facts })).timeline, '000003');
  const timelines = await repository.listTimelines('prod');
  assert.deepEqual(
    timelines.map((entry) => entry.state === 'sound' && [entry.timeline, entry.reason, entry.predecessor]),
    [
      ['000003', 'cluster-id-changed', '000002'],
      ['000002', 'revision-went-back', '000001'],
      ['000001', 'first', undefined],
    ],
  );
  // The newest timeline's backup is the latest one, although another revision is higher.
  assert.equal((await repository.find('prod', 'latest')).backup.timeline, '000003');
});

test('a member that lags behind its cluster stays on the timeline', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const [behind, ahead] = [await smallSnapshot({ keys: 10 }), await smallSnapshot({ keys: 30 })];
  const newest = await backUp(repository, ahead);
  const lagging = await backUp(repository, behind, { request: { clusterRevision: ahead.revision } });
  assert.equal(lagging.timeline, newest.timeline);
  assert.equal((await repository.find('prod', 'latest')).backup.id, newest.id);
});

test('a cluster rebuilt at the same addresses is told by its history, even when it outgrew the old one', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path), testKeys()));
  const anchors = [5n, 6n].map((main) => ({ main, sub: 0n, checksum: 1, size: 100 }));
  await backUp(repository, await smallSnapshot({ keys: 10 }), { facts: { anchors } });

  const rebuilt = await smallSnapshot({ keys: 30, history: 'second' });
  const history = { entryAt: () => ({ checksum: 2, size: 100 }) };
  await assert.rejects(backUp(repository, rebuilt, { history }), {
    code: 'repository.history-differs',
    message: /5\.0/,
    retryable: true,
  });
  assert.equal((await repository.listBackups('prod')).length, 1);
  const again = await backUp(repository, rebuilt, { history });
  assert.equal(again.timeline, '000002');
  const [newest] = await repository.listTimelines('prod');
  assert.equal(newest?.state === 'sound' && newest.reason, 'history-differs');
});

test('the high-water mark outlives the backups', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const repository = await openRepository(repositorySettings(store));
  const snapshot = await smallSnapshot({ keys: 30 });
  const { base } = (await backUp(repository, snapshot)).manifest;
  await store.delete(base.name);
  await store.delete(base.name.replace('base.zst', 'manifest.json'));
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: ETCD_CLUSTER,
    clusterRevision: 30n,
  });
  assert.equal(writer.timelineReason, 'revision-went-back');
});

test('marks and timelines that nobody trusted signed are passed over and told', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const settings = repositorySettings(store, testKeys());
  const repository = await openRepository(settings);
  const snapshot = await smallSnapshot();
  await backUp(repository, snapshot);

  // A mark that would make every backup look like history going back, and the next timeline's name taken.
  await store.putIfAbsent(highWaterName('prod', '000001', 2n ** 62n), Buffer.from('{}'));
  await store.putIfAbsent(timelineName('prod', '000002'), Buffer.from('{}'));
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: ETCD_CLUSTER,
    clusterRevision: 100n,
  });
  assert.equal(writer.timeline, '000001');
  assert.deepEqual(
    writer.warnings.map(({ code }) => code),
    ['repository.damaged'],
  );
  const [newest] = await repository.listTimelines('prod');
  assert.equal(newest?.state, 'damaged');

  const other = await repository.beginBackup({ cluster: 'prod', etcdClusterId: 9n, clusterRevision: 100n });
  assert.equal(other.timeline, '000003');
});

test('of many first backups at once, all begin one timeline', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const snapshot = await smallSnapshot();
  const backups = await Promise.all(Array.from({ length: 8 }, () => backUp(repository, snapshot)));
  assert.deepEqual(new Set(backups.map(({ timeline }) => timeline)), new Set(['000001']));
  assert.equal((await repository.listBackups('prod')).length, 8);
  assert.equal((await repository.listTimelines('prod')).length, 1);
});

test('a restore begins a timeline by itself', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const snapshot = await smallSnapshot();
  const { etcd } = (await backUp(repository, snapshot)).manifest;
  const begun = await repository.beginTimeline({ cluster: 'prod', etcdClusterId: 42n, reason: 'restored' });
  assert.equal(begun.predecessor, '000001');
  const facts = { etcd: { ...etcd, clusterId: 42n } };
  const backup = await backUp(repository, snapshot, { request: { etcdClusterId: 42n }, facts });
  assert.equal(backup.timeline, begun.timeline);
});

test('a snapshot of another cluster than was asked for is refused', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  await assert.rejects(backUp(repository, await smallSnapshot(), { request: { etcdClusterId: 42n } }), {
    code: 'repository.other-cluster',
  });
});
