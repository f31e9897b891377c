import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectBytes } from '../../test/harness/byte-stream.ts';
import { capturedTimelines, type CapturedTimelines } from '../../test/harness/captured-timelines.ts';
import {
  HOUR_MS,
  repositorySettings,
  repositoryWithBackup,
  testKeys,
} from '../../test/harness/repository.ts';
import { appendSegments } from '../../test/harness/segments.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { checkFreshness, findStaleness, rememberTail, type StoreMemory } from './freshness.ts';
import { readKnownPoints } from './known-points.ts';
import { segmentName, trimName } from './layout.ts';
import { openRepository } from './open-repository.ts';
import { markTrim } from './trims.ts';

test('a chain that ends earlier than it did is recognised, and accepted only by consent', async () => {
  await using watched = await watchedChain();
  const { made, memory, check } = watched;
  await check();
  const { points, chains } = await readKnownPoints(memory.path, { ...memory, location: '' }, 'prod');
  assert.equal(points.length, 4);
  assert.deepEqual(
    chains.map(({ timeline, id, follows, to }) => [timeline, id, follows, to]),
    [['000002', made.bases[3]?.id, 111n, 121n]],
  );

  await made.settings.store.delete(segmentName(watched.chain, 111n));
  const refused = {
    code: 'repository.rolled-back',
    message: /ends at revision 121 is gone, and nobody trusted/,
  };
  await assert.rejects(check(), refused);
  assert.equal((await findStaleness(made.repository, 'prod', memory))?.code, 'repository.rolled-back');
  // It stays recognised.
  await assert.rejects(check(), refused);
  await check({ acceptOlder: true });
  await check();
});

test('another segment in place of the newest one is recognised, also a damaged one', async () => {
  await using watched = await watchedChain();
  const { made, check, chain } = watched;
  await check();
  const { store } = made.settings;
  const name = segmentName(chain, 111n);
  const bytes = await collectBytes(store.get(name));
  await store.delete(name);
  await store.putIfAbsent(name, Buffer.from('damaged'));
  await assert.rejects(check(), { code: 'repository.rolled-back', message: /not any more/ });
  await store.delete(name);
  const tails = await made.log.tails('prod');
  const [again] = await appendSegments(made.log, tails[0] ?? assert.fail(), [121n]);
  assert.equal(again?.revision, 121n);
  await assert.rejects(check(), { code: 'repository.rolled-back', message: /another one than before/ });
  await store.delete(name);
  await store.putIfAbsent(name, bytes);
  await check();
});

test('trims and their sweep are no rollback, but trims that are taken away are', async () => {
  await using watched = await watchedChain();
  const { made, check, chain } = watched;
  await check();
  const ranges = [{ from: 111n, to: 121n }];
  const { store } = made.settings;
  const bytes = await collectBytes(store.get(segmentName(chain, 111n)));
  await markTrim(made.settings, chain, { action: 'trim', ranges }, { by: 'alice' }, undefined);
  await check();
  made.clock.advance(25 * HOUR_MS);
  assert.ok((await made.repository.sweep()).deleted.some(({ name }) => name === segmentName(chain, 111n)));
  await check();

  await store.putIfAbsent(segmentName(chain, 111n), bytes);
  await store.delete(trimName(chain, 2));
  await assert.rejects(check(), { code: 'repository.rolled-back', message: /took trims away/ });
});

test('what this machine appended itself is remembered without looking at the store', async () => {
  await using watched = await watchedChain();
  const { made, memory, check, chain } = watched;
  await check();
  const [tail] = await made.log.tails('prod');
  const [longer] = await appendSegments(made.log, tail ?? assert.fail(), [131n]);
  await rememberTail(made.repository, longer ?? assert.fail(), memory);
  await made.settings.store.delete(segmentName(chain, 121n));
  await assert.rejects(check(), { code: 'repository.rolled-back', message: /revision 131/ });
});

test('segments from before there were keys refuse nothing once there is a newer backup with keys', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.join('store'));
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store));
  const tail = repository.segments.tailOf(backup);
  await appendSegments(repository.segments, tail, [tail.revision + 5n]);
  const memory = { path: folder.join('known-points.json'), identity: 'the store' };
  await checkFreshness(repository, 'prod', memory);

  const later = { ...testKeys(), clock: () => new Date(Date.now() + HOUR_MS) };
  const keyed = await openRepository(repositorySettings(store, later));
  await assert.rejects(checkFreshness(keyed, 'prod', memory), { code: 'signature.missing' });
  await repositoryWithBackup(repositorySettings(store, later));
  assert.equal((await checkFreshness(keyed, 'prod', memory)).length, 2);
});

interface WatchedChain extends AsyncDisposable {
  readonly made: CapturedTimelines;
  readonly memory: StoreMemory;
  /** The newest one. */
  readonly chain: CapturedTimelines['bases'][number];
  readonly check: (options?: { acceptOlder: boolean }) => ReturnType<typeof checkFreshness>;
}

/** A store with chains, and a machine that watches it. */
async function watchedChain(): Promise<WatchedChain> {
  const folder = await temporaryFolder();
  const made = await capturedTimelines();
  const memory = { path: folder.join('known-points.json'), identity: 'the store' };
  return {
    ...{ made, memory, chain: made.bases.at(-1) ?? assert.fail() },
    check: (options) => checkFreshness(made.repository, 'prod', { ...memory, ...options }),
    async [Symbol.asyncDispose]() {
      await made[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
