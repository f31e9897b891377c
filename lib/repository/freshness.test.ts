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
import type { ObjectStore } from '../storage/object-store.ts';
import {
  checkFreshness,
  findStaleness,
  rememberBackup,
  seenClusters,
  type StoreMemory,
} from './freshness.ts';
import { manifestName, removalName } from './layout.ts';
import { readKnownPoints } from './known-points.ts';
import { openRepository } from './open-repository.ts';
import type { BackupPlace, Repository, RepositorySettings } from './repository.ts';

const by = { by: 'alice' };
const IDENTITY = 'the store of this test';

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
  const { repository, backup, path, memory } = watched;
  await rememberBackup(repository, backup, memory);
  const known = async (identity: string, cluster: string): Promise<string[]> => {
    const { points } = await readKnownPoints(path, { identity, location: repository.location }, cluster);
    return points.map(({ id }) => id);
  };
  assert.deepEqual(await known(IDENTITY, 'prod'), [backup.id]);
  assert.deepEqual(await known(IDENTITY, 'other'), []);
  assert.deepEqual(await known('s3://elsewhere', 'prod'), []);
  assert.deepEqual(await seenClusters(repository, memory), ['prod']);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const before = await readFile(path);
  await rememberBackup(repository, backup, memory);
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
  readonly memory: StoreMemory;
  readonly check: (options?: { acceptOlder: boolean }) => ReturnType<typeof checkFreshness>;
}

test('backups from before there were keys refuse nothing once there is a newer one with keys', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.join('store'));
  const { repository, snapshot } = await repositoryWithBackup(repositorySettings(store));
  const path = folder.join('known-points.json');
  await checkFreshness(repository, 'prod', { path, identity: IDENTITY });
  const keyed = await openRepository(repositorySettings(store, testKeys()));
  await assert.rejects(checkFreshness(keyed, 'prod', { path, identity: IDENTITY }), {
    code: 'signature.missing',
    hint: /--allow-older goes on without it/,
  });
  await backUp(keyed, snapshot);
  assert.equal((await checkFreshness(keyed, 'prod', { path, identity: IDENTITY })).length, 2);
});

test('who only looks is told the same, and nothing is remembered', async () => {
  await using watched = await watchedStore();
  const { store, repository, snapshot, memory, check, path } = watched;
  assert.equal(await findStaleness(repository, 'prod', memory), undefined);
  await assert.rejects(stat(path), { code: 'ENOENT' });
  await check();
  const newer = await backUp(repository, snapshot);
  const before = await readFile(path);
  assert.equal(await findStaleness(repository, 'prod', memory), undefined);
  assert.deepEqual(await readFile(path), before);
  await check();
  await removeChain(store, newer);
  const told = await findStaleness(repository, 'prod', memory);
  assert.equal(told?.code, 'repository.rolled-back');
  assert.match(told.message, new RegExp(newer.id));
});

test('two servers with a bucket of one name are known apart', async () => {
  await using one = await watchedStore();
  await using other = await watchedStore();
  const { path } = one;
  const location = 's3://backups/prod';
  const first = { ...one.repository, location };
  const second = { ...other.repository, location };
  const memories = ['http://a:9000', 'http://b:9000'].map((endpoint) => ({
    path,
    identity: `${location}?endpoint=${endpoint}`,
  }));
  const [ofFirst, ofSecond] = memories;
  assert.ok(ofFirst && ofSecond);
  await checkFreshness(first, 'prod', ofFirst);
  await checkFreshness(second, 'prod', ofSecond);
  await checkFreshness(first, 'prod', ofFirst);
});

test('what was remembered by location alone is kept for the store that it is of', async () => {
  await using one = await watchedStore();
  await using other = await watchedStore();
  const { path } = one;
  const location = 's3://backups/prod';
  const [ours, theirs] = [one.repository, other.repository].map((each) => ({ ...each, location }));
  assert.ok(ours && theirs);
  // As before there were identities.
  await checkFreshness(ours, 'prod', { path, identity: location });
  const [ofOurs, ofTheirs] = ['a', 'b'].map((host) => ({
    path,
    identity: `${location}?endpoint=http://${host}`,
  }));
  assert.ok(ofOurs && ofTheirs);

  // A backup to the other server doesn't take it over; to look there isn't safe to be silent.
  await rememberBackup(theirs, other.backup, ofTheirs);
  await checkFreshness(theirs, 'prod', ofTheirs);
  await checkFreshness(ours, 'prod', ofOurs);
  await removeChain(one.store, one.backup);
  await assert.rejects(checkFreshness(ours, 'prod', ofOurs), { code: 'repository.rolled-back' });
});

test('a store that shows nothing of what was remembered by location alone is not trusted silently', async () => {
  await using one = await watchedStore();
  await using other = await watchedStore();
  const { path } = one;
  const location = 's3://backups/prod';
  await checkFreshness({ ...one.repository, location }, 'prod', { path, identity: location });
  const second = { ...other.repository, location };
  const memory = { path, identity: `${location}?endpoint=http://b` };
  await assert.rejects(checkFreshness(second, 'prod', memory), { code: 'repository.rolled-back' });
  await checkFreshness(second, 'prod', { ...memory, acceptOlder: true });
  await checkFreshness(second, 'prod', memory);
  // The first one is still known.
  await removeChain(one.store, one.backup);
  const first = { ...one.repository, location };
  const ofFirst = { path, identity: `${location}?endpoint=http://a` };
  await assert.rejects(checkFreshness(first, 'prod', ofFirst), { code: 'repository.rolled-back' });
});

/** A store with one backup, and a machine that watches it. */
async function watchedStore(): Promise<Place> {
  const folder = await temporaryFolder();
  const store = new LocalStore(folder.join('store'));
  const clock = new TestClock();
  const settings: RepositorySettings = repositorySettings(store, { ...testKeys(), clock: clock.read });
  const { repository, snapshot, backup } = await repositoryWithBackup(settings);
  const path = folder.join('state', 'known-points.json');
  return {
    ...{ store, repository, snapshot, backup, clock, path, memory: { path, identity: IDENTITY } },
    check: (options) => checkFreshness(repository, 'prod', { path, identity: IDENTITY, ...options }),
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
