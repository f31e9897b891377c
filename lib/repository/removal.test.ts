import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectBytes } from '../../test/harness/byte-stream.ts';
import {
  backUp,
  HOUR_MS,
  repositorySettings,
  repositoryWithBackup,
  TestClock,
  testKeys,
} from '../../test/harness/repository.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { FaultInjectingStore } from '../storage/fault-injecting-store.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { removalName } from './layout.ts';
import { openRepository } from './open-repository.ts';
import type { SweepReport } from './repository.ts';

const by = { by: 'alice', reason: 'too old' };

test('a removed backup is hidden at once, can be had back, and is deleted after 24 hours', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const settings = repositorySettings(new LocalStore(folder.path), { ...testKeys(), clock: clock.read });
  const { repository, snapshot, backup } = await repositoryWithBackup(settings);

  const removal = await repository.removeBackup(backup, by);
  assert.deepEqual(await repository.listBackups('prod'), []);
  assert.deepEqual(await repository.listBackups('prod', { includeRemoved: true }), [
    { ...backup, removal, lastMark: 1 },
  ]);
  await assert.rejects(repository.find('prod', backup.id), { code: 'repository.removed', hint: /undelete/ });
  assert.deepEqual(await repository.removeBackup(backup, { by: 'bob' }), removal);

  await repository.undeleteBackup(backup, by);
  assert.deepEqual(await repository.listBackups('prod'), [{ ...backup, lastMark: 2 }]);
  await repository.undeleteBackup(backup, by);

  await repository.removeBackup(backup, by);
  clock.advance(24 * HOUR_MS - 1000);
  assert.deepEqual(names(await repository.sweep()), []);
  assert.deepEqual(await collectBytes(repository.readBase(backup)), snapshot.bytes);

  clock.advance(2 * HOUR_MS);
  assert.deepEqual(names(await repository.sweep({ dryRun: true })), ['base.zst.sealed', 'manifest.json']);
  assert.deepEqual(names(await repository.sweep()), ['base.zst.sealed', 'manifest.json']);
  assert.deepEqual(await repository.listBackups('prod', { includeRemoved: true }), []);
  assert.equal((await repository.removalOf(backup))?.swept, true);
  await assert.rejects(repository.undeleteBackup(backup, by), { code: 'repository.grace-over' });
  assert.deepEqual(names(await repository.sweep()), []);
});

test('a removed backup that someone puts back stays removed', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const store = new LocalStore(folder.path);
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, { clock: clock.read }));
  const kept = await objectsOf(store);
  await repository.removeBackup(backup, by);
  clock.advance(25 * HOUR_MS);
  await repository.sweep();
  for (const [name, bytes] of kept) await store.putIfAbsent(name, bytes).catch(() => undefined);
  assert.deepEqual(await repository.listBackups('prod'), []);
  await assert.rejects(repository.find('prod', backup.id), { code: 'repository.removed' });
  assert.equal(names(await repository.sweep()).length, 2);
});

test('a removal that nobody trusted signed hides nothing, deletes nothing, and is told', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const store = new LocalStore(folder.path);
  const { repository, backup } = await repositoryWithBackup(
    repositorySettings(store, { ...testKeys(), clock: clock.read }),
  );
  const stranger = await openRepository(
    repositorySettings(store, { ...testKeys(9), verifier: undefined, clock: clock.read }),
  );
  await stranger.removeBackup(backup, by);
  const [entry] = await repository.listBackups('prod');
  assert.equal(entry?.removal, undefined);
  assert.deepEqual(
    entry?.warnings.map(({ code }) => code),
    ['signature.untrusted'],
  );
  clock.advance(48 * HOUR_MS);
  assert.deepEqual(names(await repository.sweep()), []);

  // The number that the stranger took doesn't keep us from removing it ourselves.
  await repository.removeBackup(backup, by);
  assert.deepEqual(await repository.listBackups('prod'), []);
});

test('a mark that was moved to another backup removes nothing', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, snapshot, backup } = await repositoryWithBackup(repositorySettings(store, testKeys()));
  const other = await backUp(repository, snapshot);
  await repository.removeBackup(other, by);
  const mark = await collectBytes(store.get(removalName(other, 1)));
  await store.putIfAbsent(removalName(backup, 1), mark);
  const [entry] = await repository.listBackups('prod');
  assert.equal(entry?.id, backup.id);
  assert.deepEqual(
    entry.warnings.map(({ code }) => code),
    ['repository.misplaced'],
  );
});

test('remains without a manifest are swept after a day, and nothing younger', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const store = new LocalStore(folder.path);
  const { repository, snapshot, backup } = await repositoryWithBackup(
    repositorySettings(store, { clock: clock.read }),
  );
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: backup.manifest.etcd.clusterId,
    clusterRevision: snapshot.revision,
  });
  const { name } = await writer.putBase(once(snapshot.bytes));
  await store.putIfAbsent('notes/readme.txt', Buffer.from('mine'));
  await store.putIfAbsent('.probe/left-over', Buffer.from('x'));

  clock.advance(23 * HOUR_MS);
  assert.deepEqual(names(await repository.sweep()), []);
  clock.advance(2 * HOUR_MS);
  const report = await repository.sweep();
  assert.deepEqual(
    report.deleted.map((object) => object.name),
    ['.probe/left-over', name],
  );
  assert.deepEqual(report.unknown, ['notes/readme.txt']);
  assert.equal((await repository.verifyBackup(backup, { depth: 'deep' })).sound, true);

  // Too late to commit what a sweep may have taken.
  await assert.rejects(writer.commit(backup.manifest, { entryAt: () => undefined }), {
    code: 'repository.too-late',
  });
});

test('a base that vanished is not committed', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, snapshot, backup } = await repositoryWithBackup(repositorySettings(store));
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: backup.manifest.etcd.clusterId,
    clusterRevision: snapshot.revision,
  });
  const { name } = await writer.putBase(once(snapshot.bytes));
  await store.delete(name);
  await assert.rejects(writer.commit(backup.manifest, { entryAt: () => undefined }), {
    code: 'store.not-found',
  });
  assert.equal((await repository.listBackups('prod')).length, 1);
});

test('credentials that can’t delete: the sweep tells, hides, and goes on', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const local = new LocalStore(folder.path);
  const denied = new GuardianError('store.denied', 'Object Lock');
  const store = new FaultInjectingStore(local, (operation, _call, name) =>
    operation === 'delete' && name.includes('/chains/') ? { kind: 'refused', error: denied } : undefined,
  );
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, { clock: clock.read }));
  await repository.removeBackup(backup, by);
  clock.advance(25 * HOUR_MS);
  const report = await repository.sweep();
  assert.deepEqual(report.deleted, []);
  // The manifest is not even tried before all data is gone.
  assert.deepEqual(
    report.refused.map(({ name, problem }) => [name, problem.code]),
    [[backup.manifest.base.name, 'store.denied']],
  );
  assert.deepEqual(await repository.listBackups('prod'), []);

  const allowed = await openRepository(repositorySettings(local, { clock: clock.read }));
  assert.equal(names(await allowed.sweep()).length, 2);
});

test('what must be retained is kept past the grace', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const retainUntil = new Date(clock.now.getTime() + 72 * HOUR_MS);
  const settings = repositorySettings(new LocalStore(folder.path), { clock: clock.read });
  const { repository, backup } = await repositoryWithBackup(settings, { request: { retainUntil } });
  await repository.removeBackup(backup, by);
  clock.advance(48 * HOUR_MS);
  assert.deepEqual(names(await repository.sweep()), []);
  clock.advance(48 * HOUR_MS);
  assert.equal(names(await repository.sweep()).length, 2);
});

test('of an undelete and a sweep at once exactly one wins', async () => {
  for (let round = 0; round < 10; round++) {
    await using folder = await temporaryFolder();
    const clock = new TestClock();
    const settings = repositorySettings(new LocalStore(folder.path), { clock: clock.read });
    const { repository, backup } = await repositoryWithBackup(settings);
    await repository.removeBackup(backup, by);
    clock.advance(25 * HOUR_MS);
    const [undeleted, swept] = await Promise.allSettled([
      repository.undeleteBackup(backup, by),
      repository.sweep(),
    ]);
    const isBack = undeleted.status === 'fulfilled';
    const report = swept.status === 'fulfilled' ? swept.value : undefined;
    assert.ok(report);
    assert.equal((await repository.listBackups('prod')).length, isBack ? 1 : 0);
    assert.equal(names(report).length, isBack ? 0 : 2);
  }
});

test('retention removes as it planned', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const repository = await openRepository(
    repositorySettings(new LocalStore(folder.path), { clock: clock.read }),
  );
  const ids: string[] = [];
  for (const keys of [10, 20, 30]) {
    ids.unshift((await backUp(repository, await smallSnapshot({ keys }))).id);
    clock.advance(HOUR_MS);
  }
  const plan = await repository.applyRetention('prod', { maxBackups: 1 }, { by: 'the schedule' });
  assert.deepEqual(
    plan.remove.map(({ backup }) => backup.id),
    ids.slice(1),
  );
  assert.deepEqual(
    (await repository.listBackups('prod')).map(({ id }) => id),
    ids.slice(0, 1),
  );
});

function names(report: SweepReport): string[] {
  return report.deleted.map(({ name }) => name.slice(name.lastIndexOf('/') + 1));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

async function objectsOf(store: ObjectStore): Promise<Map<string, Buffer>> {
  const objects = new Map<string, Buffer>();
  for await (const { name } of store.list('')) objects.set(name, await collectBytes(store.get(name)));
  return objects;
}
