import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
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
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { type ObjectStore } from '../storage/object-store.ts';
import { checkFreshness, rememberBackup } from './freshness.ts';
import { manifestName, removalName } from './layout.ts';
import { readKnownPoints } from './known-points.ts';
import { openRepository } from './open-repository.ts';
import { type BackupPlace, type Repository, type RepositorySettings } from './repository.ts';

const by = { by: 'alice' };

test('an old state that someone puts back is recognised, and accepted only by consent', async () => {
  await using watched = await watchedStore();
  const { store, repository, snapshot, check } = watched;
  const old = await check();
  const newer = await backUp(repository, snapshot);
  assert.equal((await check()).length, 2);

  await removeChain(store, newer);
  await assert.rejects(check(), { code: 'repository.rolled-back', message: new RegExp(newer.id) });
  // It stays recognised.
  await assert.rejects(check(), { code: 'repository.rolled-back' });
  assert.deepEqual(await check({ acceptOlder: true }), old);
  assert.deepEqual(await check(), old);
});

test('a manifest that was replaced by another sound one is recognised', async () => {
  await using watched = await watchedStore();
  const { store, repository, snapshot, check } = watched;
  const backup = await backUp(repository, snapshot);
  await check();
  const name = manifestName(backup);
  const bytes = await collectBytes(store.get(name));
  await store.delete(name);
  const other = await backUp(repository, snapshot);
  await store.putIfAbsent(name, await collectBytes(store.get(manifestName(other))));
  await assert.rejects(check(), {
    code: 'repository.rolled-back',
    message: /not any more: .* holds the document of/,
  });
  await store.delete(name);
  await store.putIfAbsent(name, bytes);
  assert.equal((await check()).length, 3);
});

test('backups that were removed by us, and swept, are no rollback', async () => {
  await using watched = await watchedStore();
  const { store, repository, snapshot, clock, check } = watched;
  const backup = await backUp(repository, snapshot);
  await check();
  await repository.removeBackup(backup, by);
  clock.advance(25 * HOUR_MS);
  const kept = await objectsIn(store, manifestName(backup).replace('manifest.json', ''));
  await repository.sweep();
  assert.equal((await check()).length, 1);

  // Nor is it forgotten that they were removed.
  await store.delete(removalName(backup, 1));
  await store.delete(removalName(backup, 2));
  for (const [name, bytes] of kept) await store.putIfAbsent(name, bytes);
  await assert.rejects(check(), { code: 'repository.rolled-back' });
});

test('a removed backup that is put back without its marks is recognised, an undelete isn’t taken for it', async () => {
  await using watched = await watchedStore();
  const { store, repository, snapshot, clock, check } = watched;
  const backup = await backUp(repository, snapshot);
  await repository.removeBackup(backup, by);
  await check();
  await repository.undeleteBackup(backup, by);
  await check();
  await repository.removeBackup(backup, by);
  await check();
  const kept = await objectsIn(store, manifestName(backup).replace('manifest.json', ''));
  clock.advance(25 * HOUR_MS);
  await repository.sweep();
  await check();
  for (const number of [1, 2, 3, 4]) await store.delete(removalName(backup, number));
  for (const [name, bytes] of kept) await store.putIfAbsent(name, bytes);
  await assert.rejects(check(), { code: 'repository.rolled-back', message: /marks of its removal/ });
});

test('clusters and stores are known apart, in a file that only its owner reads', async () => {
  await using watched = await watchedStore();
  const { repository, backup, path } = watched;
  await rememberBackup(repository, backup, path);
  const known = await readKnownPoints(path, repository.location, 'prod');
  assert.deepEqual(
    known.map(({ id }) => id),
    [backup.id],
  );
  assert.deepEqual(await readKnownPoints(path, repository.location, 'other'), []);
  assert.deepEqual(await readKnownPoints(path, 's3://elsewhere', 'prod'), []);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const before = await readFile(path);
  await rememberBackup(repository, backup, path);
  assert.deepEqual(await readFile(path), before);
});

test('a record that can’t be read doesn’t pass for knowing nothing', async () => {
  await using watched = await watchedStore();
  const { path, check } = watched;
  await check();
  await writeFile(path, '{"formatVersion":1');
  await assert.rejects(check(), { code: 'repository.known-points', hint: /Move it away/ });
});

interface Place extends AsyncDisposable {
  readonly store: LocalStore;
  readonly repository: Repository;
  readonly snapshot: Awaited<ReturnType<typeof repositoryWithBackup>>['snapshot'];
  readonly backup: Awaited<ReturnType<typeof repositoryWithBackup>>['backup'];
  readonly clock: TestClock;
  readonly path: string;
  readonly check: (options?: { acceptOlder: boolean }) => ReturnType<typeof checkFreshness>;
}

/** A store with one backup, and a machine that watches it. */
test('backups from before there were keys refuse nothing once there is a newer one with keys', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.join('store'));
  const { repository, snapshot } = await repositoryWithBackup(repositorySettings(store));
  const path = folder.join('known-points.json');
  await checkFreshness(repository, 'prod', { path });
  const keyed = await openRepository(repositorySettings(store, testKeys()));
  await assert.rejects(checkFreshness(keyed, 'prod', { path }), { code: 'signature.missing' });
  await backUp(keyed, snapshot);
  assert.equal((await checkFreshness(keyed, 'prod', { path })).length, 2);
});

async function watchedStore(): Promise<Place> {
  const folder = await temporaryFolder();
  const store = new LocalStore(folder.join('store'));
  const clock = new TestClock();
  const settings: RepositorySettings = repositorySettings(store, { ...testKeys(), clock: clock.read });
  const { repository, snapshot, backup } = await repositoryWithBackup(settings);
  const path = folder.join('state', 'known-points.json');
  return {
    ...{ store, repository, snapshot, backup, clock, path },
    check: (options) => checkFreshness(repository, 'prod', { path, ...options }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

async function objectsIn(store: ObjectStore, prefix: string): Promise<Map<string, Buffer>> {
  const objects = new Map<string, Buffer>();
  for await (const { name } of store.list(prefix)) objects.set(name, await collectBytes(store.get(name)));
  return objects;
}

async function removeChain(store: ObjectStore, place: BackupPlace): Promise<void> {
  for (const name of (await objectsIn(store, manifestName(place).replace('manifest.json', ''))).keys()) {
    await store.delete(name);
  }
}
