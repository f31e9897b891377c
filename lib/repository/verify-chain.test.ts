import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { capturedTimelines, type CapturedTimelines } from '../../test/harness/captured-timelines.ts';
import { collectBytes } from '../../test/harness/byte-stream.ts';
import { repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { backUpHistory, captureHistory } from '../../test/harness/made-chain.ts';
import { MadeHistory } from '../../test/harness/made-history.ts';
import { seededRandom } from '../../test/harness/seeded-random.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { ChainReport } from './chain-report.ts';
import { segmentName } from './layout.ts';
import { openRepository } from './open-repository.ts';
import { revisionOf } from './point-spans.ts';
import type { Repository, SoundBackup } from './repository.ts';
import { markTrim } from './trims.ts';

test('a sound chain is found so, as stored also without keys to open it', async () => {
  await using made = await capturedTimelines();
  const chain = firstOf(made);
  const stored = await made.repository.verifyChain(chain, { depth: 'stored' });
  assert.deepEqual([stored.sound, stored.problems, stored.warnings, stored.segments], [true, [], [], 4]);
  assert.equal(stored.plainBytes, 0);

  const progress: [number, number][] = [];
  const onProgress = (done: number, total: number): number => progress.push([done, total]);
  const deep = await made.repository.verifyChain(chain, { depth: 'deep', onProgress });
  assert.equal(deep.sound, true);
  assert.ok(deep.plainBytes > 0);
  assert.deepEqual(progress.at(-1), [stored.storedBytes, stored.storedBytes]);

  const { verifier } = testKeys();
  const keyless = await openRepository(repositorySettings(made.settings.store, { verifier }));
  assert.equal((await keyless.verifyChain(chain, { depth: 'stored' })).sound, true);
  await assert.rejects(keyless.verifyChain(chain, { depth: 'deep' }), { code: 'encryption.key-missing' });
});

test('each segment that is wrong is named, and the ones around it are still checked', async () => {
  await using made = await capturedTimelines();
  const chain = firstOf(made);
  const { store } = made.settings;
  await store.delete(segmentName(chain, 31n));
  const body = segmentName(chain, 41n);
  const bytes = await collectBytes(store.get(body));
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  await store.delete(body);
  await store.putIfAbsent(body, bytes);
  for (const depth of ['stored', 'deep'] as const) {
    const report = await made.repository.verifyChain(chain, { depth });
    assert.deepEqual([report.sound, report.segments], [false, 2]);
    assert.deepEqual(told(report), [
      [segmentName(chain, 31n), 'repository.missing'],
      [body, 'repository.damaged'],
    ]);
    assert.ok(report.problems.every(({ hint }) => hint !== undefined));
  }
  // Without the key, bytes that are wrong are told as such all the same.
  const { verifier } = testKeys();
  const keyless = await openRepository(repositorySettings(store, { verifier }));
  await markTrim(made.settings, chain, { action: 'trim', ranges: [{ from: 21n, to: 41n }] }, BY, undefined);
  await markTrim(made.settings, chain, { action: 'trim', ranges: [{ from: 51n, to: 61n }] }, BY, undefined);
  assert.deepEqual(told(await keyless.verifyChain(chain, { depth: 'deep' })), [[body, 'repository.damaged']]);
});

test('what was trimmed is not missed', async () => {
  await using made = await capturedTimelines();
  const chain = firstOf(made);
  await markTrim(made.settings, chain, { action: 'trim', ranges: [{ from: 31n, to: 51n }] }, BY, undefined);
  await made.settings.store.delete(segmentName(chain, 31n));
  await made.settings.store.delete(segmentName(chain, 41n));
  const report = await made.repository.verifyChain(chain, { depth: 'deep' });
  assert.deepEqual([report.sound, report.segments], [true, 2]);
});

test('a deep check merges each range behind its base, compares later bases, and leaves nothing on disk', async () => {
  await using made = await mergeable();
  const { repository, first, second, revision, folder } = made;
  const report = await repository.verifyChain(first, { depth: 'deep', mergeIn: folder.path });
  assert.deepEqual(report.problems, []);
  assert.deepEqual(report.merged, [
    { base: first.id, from: revisionOf(first), to: revision, keptHashes: 1, bases: [second.id] },
  ]);
  assert.deepEqual(await readdir(folder.path), ['store']);

  await repository.removeBackup(first, BY);
  const shorter = await repository.verifyChain(first, { depth: 'deep', mergeIn: folder.path });
  assert.deepEqual(
    shorter.merged.map(({ base, from, to }) => [base, from, to]),
    [[second.id, revisionOf(second), revision]],
  );
  const nowhere = repository.verifyChain(first, { depth: 'deep', mergeIn: folder.join('nowhere') });
  await assert.rejects(nowhere, { code: 'disk.not-found' });
});

test('a base under the capture that holds other data is told, and so is a hash that no member could have had', async () => {
  await using made = await mergeable({ other: true });
  const { repository, first, second, folder } = made;
  const report = await repository.verifyChain(first, { depth: 'deep', mergeIn: folder.path });
  assert.deepEqual(told(report), [[second.manifest.base.name, 'merge.hash-mismatch']]);

  await using wrong = await mergeable({ hash: 1 });
  const differs = await wrong.repository.verifyChain(wrong.first, {
    depth: 'deep',
    mergeIn: wrong.folder.path,
  });
  assert.deepEqual(told(differs), [[wrong.first.manifest.base.name, 'merge.hash-mismatch']]);
  assert.deepEqual(await readdir(wrong.folder.path), ['store']);
});

test('segments that no base reaches are told, and a base that is gone makes the merge fail, not the check', async () => {
  await using made = await mergeable();
  const { repository, first, second, folder, store } = made;
  await store.delete(first.manifest.base.name);
  const report = await repository.verifyChain(first, { depth: 'deep', mergeIn: folder.path });
  assert.deepEqual(told(report), [[first.manifest.base.name, 'repository.missing']]);
  for (const base of [first, second]) await repository.removeBackup(base, BY);
  const useless = await repository.verifyChain(first, { depth: 'deep', mergeIn: folder.path });
  assert.equal(useless.sound, true);
  assert.deepEqual(
    useless.warnings.map(({ code }) => code),
    ['repository.no-base'],
  );
});

interface Mergeable extends AsyncDisposable {
  readonly repository: Repository;
  readonly store: LocalStore;
  readonly folder: TemporaryFolder;
  readonly first: SoundBackup;
  /** Taken under the capture. */
  readonly second: SoundBackup;
  /** Where the segments end. */
  readonly revision: bigint;
}

/** A chain of events that belong together. `other`: the second base has another history; `hash`: what a member kept. */
async function mergeable({
  other = false,
  hash,
}: { other?: boolean; hash?: number } = {}): Promise<Mergeable> {
  const folder = await temporaryFolder();
  const store = new LocalStore(folder.join('store'));
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const [history, another] = [new MadeHistory(), new MadeHistory()];
  history.grow(seededRandom(1), 30);
  another.grow(seededRandom(2), 60);
  const first = await backUpHistory(repository, history);
  history.grow(seededRandom(3), 30);
  const middle = history.revision;
  const second = await backUpHistory(repository, other ? another : history, {}, { entryAt: () => undefined });
  history.grow(seededRandom(4), 30);
  const { snapshot } = first.manifest;
  const kept = { ...snapshot.hashKV, hash: hash ?? snapshot.hashKV.hash, compactRevision: 0n, memberId: 1n };
  const ends = [snapshot.currentRevision + 5n, middle + 3n, history.revision];
  const extras = { proofs: [kept] };
  const [end, ...rest] = ends;
  const log = repository.segments;
  const tail = await captureHistory(log, log.tailOf(first), history, [end ?? 0n], extras);
  await captureHistory(log, tail, history, rest);
  const dispose = (): PromiseLike<void> => folder[Symbol.asyncDispose]();
  return {
    repository,
    store,
    folder,
    first,
    second,
    revision: history.revision,
    [Symbol.asyncDispose]: dispose,
  };
}

const BY = { by: 'alice' };

function firstOf({ bases: [first] }: CapturedTimelines): SoundBackup {
  assert.ok(first);
  return first;
}

function told({ problems }: ChainReport): [string, string][] {
  return problems.map(({ object, code }) => [object, code]);
}
