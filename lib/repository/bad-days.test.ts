import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectBytes } from '../../test/harness/byte-stream.ts';
import { backUp, repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import { type SmallSnapshot, smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import {
  type FaultPlan,
  FaultInjectingStore,
  type StoreOperation,
} from '../storage/fault-injecting-store.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { BackupFacts } from './manifest.ts';
import { openRepository } from './open-repository.ts';

const OPERATIONS: readonly StoreOperation[] = ['put', 'putIfAbsent', 'get', 'stat', 'list'];

test('whichever call of a backup fails, nothing half is listed, and the next backup works', async () => {
  for (const operation of OPERATIONS) {
    for (let nth = 1; ; nth++) {
      await using folder = await temporaryFolder();
      const local = new LocalStore(folder.path);
      const {
        repository: sound,
        snapshot,
        backup,
      } = await repositoryWithBackup(repositorySettings(local, testKeys()));
      const store = new FaultInjectingStore(local, nthCall(operation, nth));
      const outcome = await attempt(async () => {
        const repository = await openRepository(repositorySettings(store, testKeys()));
        await backUp(repository, snapshot);
      });
      if (store.calls(operation) < nth) break;
      assert.equal(outcome, 'store.busy', `${operation} ${nth}`);
      assert.deepEqual(await sound.listBackups('prod'), [backup], `${operation} ${nth}`);
      await backUp(sound, snapshot);
    }
  }
});

test('a commit whose reply is lost leaves the backup whole, whatever is discarded after it', async () => {
  await using folder = await temporaryFolder();
  const local = new LocalStore(folder.path);
  const store = new FaultInjectingStore(local, (operation, _call, name) =>
    operation === 'putIfAbsent' && name.endsWith('manifest.json') ? { kind: 'reply-lost' } : undefined,
  );
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const snapshot = await smallSnapshot();
  const request = { cluster: 'prod', etcdClusterId: 0xcdf818194e3a8c32n, clusterRevision: snapshot.revision };
  const writer = await repository.beginBackup(request);
  await writer.putBase(once(snapshot.bytes));
  const facts = await factsOfAnother(snapshot);
  await assert.rejects(writer.commit(facts, { entryAt: () => undefined }), { code: 'store.unreachable' });
  await writer.discard();
  const [listed] = await repository.listBackups('prod');
  assert.equal(listed?.id, writer.id);
  assert.equal((await repository.verifyBackup(listed, { depth: 'deep' })).sound, true);
});

test('a full store fails the backup with its own code and keeps nothing of it', async () => {
  await using folder = await temporaryFolder();
  const local = new LocalStore(folder.path);
  const { repository: sound, snapshot, backup } = await repositoryWithBackup(repositorySettings(local));
  const store = new FaultInjectingStore(local, (operation) =>
    operation === 'put' ? { kind: 'full', afterBytes: 100 } : undefined,
  );
  const repository = await openRepository(repositorySettings(store));
  await assert.rejects(backUp(repository, snapshot), { code: 'store.full' });
  assert.deepEqual(await sound.listBackups('prod'), [backup]);
});

test('reading that breaks part-way is an error, never a shorter file', async () => {
  await using folder = await temporaryFolder();
  const local = new LocalStore(folder.path);
  const { backup } = await repositoryWithBackup(repositorySettings(local, testKeys()));
  for (const afterBytes of [0, 1, 500, backup.manifest.base.storedSize - 1]) {
    const store = new FaultInjectingStore(local, (operation, _call, name) =>
      operation === 'get' && name === backup.manifest.base.name ? { kind: 'cut', afterBytes } : undefined,
    );
    const repository = await openRepository(repositorySettings(store, testKeys()));
    await assert.rejects(collectBytes(repository.readBase(backup)), { code: 'store.unreachable' });
    await assert.rejects(repository.verifyBackup(backup, { depth: 'stored' }), { code: 'store.unreachable' });
    await assert.rejects(repository.verifyBackup(backup, { depth: 'deep' }), { code: 'store.unreachable' });
  }
});

test('a store that is busy fails a list; it doesn’t make backups look damaged', async () => {
  await using folder = await temporaryFolder();
  const local = new LocalStore(folder.path);
  await repositoryWithBackup(repositorySettings(local));
  const store = new FaultInjectingStore(local, nthCall('get', 2));
  const repository = await openRepository(repositorySettings(store));
  await assert.rejects(repository.listBackups('prod'), { code: 'store.busy', retryable: true });
});

function nthCall(operation: StoreOperation, nth: number): FaultPlan {
  return (called, call) => (called === operation && call === nth ? { kind: 'refused' } : undefined);
}

async function attempt(work: () => Promise<void>): Promise<unknown> {
  try {
    await work();
    return 'done';
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
}

async function factsOfAnother(snapshot: SmallSnapshot): Promise<BackupFacts> {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  return (await backUp(repository, snapshot)).manifest;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
