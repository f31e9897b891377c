import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunksOf, collectBytes } from '../../test/harness/byte-stream.ts';
import {
  backUp,
  ETCD_CLUSTER,
  HOUR_MS,
  repositorySettings,
  repositoryWithBackup,
  TestClock,
  testKeys,
} from '../../test/harness/repository.ts';
import { sharedBucket } from '../../test/harness/shared-bucket.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { openRepository } from './open-repository.ts';

const { server, openPrefix } = sharedBucket();

test('backups at once to one empty prefix all succeed, on one timeline, and nothing mixes', async () => {
  const store = openPrefix();
  const writers = 6;
  const backups = await Promise.all(
    Array.from({ length: writers }, async (_, index) => {
      const repository = await openRepository(repositorySettings(store, testKeys()));
      const snapshot = await smallSnapshot({ keys: 10 + index });
      const clusterRevision = 100n;
      return { snapshot, backup: await backUp(repository, snapshot, { request: { clusterRevision } }) };
    }),
  );
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const listed = await repository.listBackups('prod');
  assert.equal(listed.length, writers);
  assert.equal((await repository.listTimelines('prod')).length, 1);
  // The highest revision is the latest, whoever came first.
  assert.equal((await repository.find('prod', 'latest')).backup.id, backups.at(-1)?.backup.id);
  for (const { snapshot, backup } of backups) {
    assert.deepEqual(await collectBytes(repository.readBase(backup)), snapshot.bytes);
    assert.equal((await repository.verifyBackup(backup, { depth: 'deep' })).sound, true);
  }
});

test('two that find another history at once begin one timeline, and both get through', async () => {
  const repository = await openRepository(repositorySettings(openPrefix()));
  const anchors = [{ main: 5n, sub: 0n, checksum: 1, size: 100 }];
  await backUp(repository, await smallSnapshot({ keys: 10 }), { facts: { anchors } });
  const rebuilt = await smallSnapshot({ keys: 30, history: 'second' });
  const history = { entryAt: () => ({ checksum: 2, size: 100 }) };
  const attempt = (): Promise<unknown> =>
    backUp(repository, rebuilt, {
      history,
      facts: {
        anchors: [{ ...anchors[0], checksum: 2 }].map((anchor) => ({
          main: 5n,
          sub: 0n,
          size: 100,
          ...anchor,
        })),
      },
    });
  const first = await Promise.allSettled([attempt(), attempt()]);
  assert.deepEqual(
    first.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await Promise.all([attempt(), attempt()]);
  const timelines = await repository.listTimelines('prod');
  assert.deepEqual(
    timelines.map(({ timeline }) => timeline),
    ['000002', '000001'],
  );
});

test('of an undelete and a sweep at once exactly one wins', async () => {
  const clock = new TestClock();
  const { repository, backup } = await repositoryWithBackup(
    repositorySettings(openPrefix(), { clock: clock.read }),
  );
  await repository.removeBackup(backup, { by: 'alice' });
  clock.advance(25 * HOUR_MS);
  const [undeleted, swept] = await Promise.allSettled([
    repository.undeleteBackup(backup, { by: 'alice' }),
    repository.sweep(),
  ]);
  const isBack = undeleted.status === 'fulfilled';
  const report = swept.status === 'fulfilled' ? swept.value : undefined;
  assert.equal(report?.deleted.length, isBack ? 0 : 2);
  assert.equal((await repository.listBackups('prod')).length, isBack ? 1 : 0);
});

test('an aborted upload leaves nothing listed, and what it left is swept', async () => {
  const clock = new TestClock();
  const store = openPrefix();
  const repository = await openRepository(repositorySettings(store, { ...testKeys(), clock: clock.read }));
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: ETCD_CLUSTER,
    clusterRevision: 2n,
  });
  const abort = new AbortController();
  const endless = (async function* () {
    for (let piece = 0; ; piece++) {
      if (piece === 40) abort.abort(new Error('the operator left'));
      yield await Promise.resolve(Buffer.alloc(1 << 20, String(piece)));
    }
  })();
  await assert.rejects(writer.putBase(endless, { signal: abort.signal }), /the operator left/);
  assert.deepEqual(await repository.listBackups('prod'), []);
  clock.advance(25 * HOUR_MS);
  const report = await repository.sweep();
  assert.deepEqual(report.refused, []);
  const left: string[] = [];
  for await (const { name } of store.list('clusters/prod/timelines/000001/chains/')) left.push(name);
  assert.deepEqual(left, []);
});

test('a store that went away is an error, not an empty list', async () => {
  const store = openPrefix();
  const { repository, snapshot } = await repositoryWithBackup(repositorySettings(store));
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: ETCD_CLUSTER,
    clusterRevision: snapshot.revision,
  });
  await writer.putBase(chunksOf(snapshot.bytes, 9000));
  await server().kill();
  await assert.rejects(repository.listBackups('prod'), { code: 'store.unreachable' });
  await assert.rejects(repository.find('prod', 'latest'), { code: 'store.unreachable' });
  await server().restart();
  const listed = await eventually('the store answers again', () => repository.listBackups('prod'));
  assert.equal(listed.length, 1);
});
