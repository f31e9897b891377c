import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectBytes } from '../../test/harness/byte-stream.ts';
import { backUp, repositorySettings, testKeys } from '../../test/harness/repository.ts';
import { sample } from '../../test/harness/sampling.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { GuardianError } from '../guardian-error.ts';
import { LocalStore } from '../storage/local-store.ts';
import type { ObjectStore, StoredObject } from '../storage/object-store.ts';
import { chainFolder } from './layout.ts';
import { openRepository } from './open-repository.ts';
import type { BackupPlace, RepositorySettings, VerifyOptions, VerifyReport } from './repository.ts';
import { verifyBackup } from './verify-backup.ts';

const DEPTHS = ['stored', 'deep'] as const;

for (const [name, keys] of [
  ['unsigned and unencrypted', {}],
  ['signed and encrypted', testKeys()],
] as const) {
  test(`every flipped byte of a stored backup is detected: ${name}`, async () => {
    await using folder = await temporaryFolder();
    const store = new LocalStore(folder.path);
    const settings = repositorySettings(store, keys);
    const repository = await openRepository(settings);
    const attachments = 'encryption' in keys ? { 'pki.tar': Buffer.from('a key') } : {};
    const backup = await backUp(repository, await smallSnapshot(), { attachments });
    await repository.removeBackup(backup, { by: 'alice' });
    await repository.undeleteBackup(backup, { by: 'alice' });
    assert.equal((await verifyBackup(settings, backup, { depth: 'deep' })).sound, true);

    const objects = await objectsOf(store);
    const kinds = [...objects.keys()].map((object) =>
      object.slice(object.lastIndexOf('/') + 1).replace(/^[0-9-]+/, ''),
    );
    assert.equal(new Set(kinds).size >= 5, true, kinds.join(' '));
    for (const [object, bytes] of objects) {
      // Both depths look at documents with the same eyes; of each base so many bytes are looked at deeply.
      const deeply = new Set(sample([...bytes.keys()], object.includes('base.zst') ? 150 : 20, object));
      for (const at of bytes.keys()) {
        const flipped = Buffer.from(bytes);
        flipped[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
        const what = `byte ${at} of ${object}`;
        await assertDetected(
          settings,
          backup,
          objects,
          object,
          flipped,
          what,
          deeply.has(at) ? DEPTHS : ['stored'],
        );
      }
    }
  });
}

test('a document cut at any length is detected', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const settings = repositorySettings(store, testKeys());
  const backup = await backUp(await openRepository(settings), await smallSnapshot());
  const objects = await objectsOf(store);
  for (const [object, bytes] of objects) {
    const lengths = sample([...bytes.keys()], 50, object);
    for (const length of lengths) {
      await assertDetected(
        settings,
        backup,
        objects,
        object,
        bytes.subarray(0, length),
        `${object} cut at ${length}`,
      );
    }
    const longer = Buffer.concat([bytes, Buffer.from('\n')]);
    await assertDetected(settings, backup, objects, object, longer, `${object} with a byte more`);
  }
});

test('objects that change places are detected', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const settings = repositorySettings(store, testKeys());
  const repository = await openRepository(settings);
  const [one, other] = [
    await backUp(repository, await smallSnapshot()),
    await backUp(repository, await smallSnapshot()),
  ];
  const objects = await objectsOf(store);
  for (const [object, bytes] of objects) {
    if (!object.startsWith(chainFolder(other))) continue;
    const place = object.replace(chainFolder(other), chainFolder(one));
    await assertDetected(settings, one, objects, place, bytes, `${object} as ${place}`);
  }
});

/** Deeply, and of what belongs to the backup itself also by looking at what is stored. */
async function assertDetected(
  settings: RepositorySettings,
  backup: BackupPlace,
  objects: ReadonlyMap<string, Buffer>,
  object: string,
  bytes: Buffer,
  what: string,
  depths: readonly VerifyOptions['depth'][] = DEPTHS,
): Promise<void> {
  const store = withObject(objects, object, bytes);
  for (const depth of depths) {
    const report: VerifyReport = await verifyBackup({ ...settings, store }, backup, { depth });
    assert.equal(report.sound, false, `${what} is not seen by ${depth}`);
    assert.ok(report.problems.every(({ code, message }) => code.includes('.') && message.length > 10));
  }
}

/** What `objects` were, with other bytes in one of them; read from memory, as there are thousands of them to try. */
function withObject(objects: ReadonlyMap<string, Buffer>, object: string, bytes: Buffer): ObjectStore {
  const changed = new Map(objects).set(object, bytes);
  const describe = (name: string): StoredObject => {
    const { length: size } = found(changed, name);
    return { name, size, modifiedAt: new Date(0), version: '1' };
  };
  const readOnly = (): Promise<never> => Promise.reject(new Error('read-only'));
  return {
    location: 'memory:',
    put: readOnly,
    putIfAbsent: readOnly,
    get: async function* (name) {
      yield await Promise.resolve(found(changed, name));
    },
    stat: (name) => Promise.resolve(describe(name)),
    list: async function* (prefix) {
      for (const name of changed.keys())
        if (name.startsWith(prefix)) yield await Promise.resolve(describe(name));
    },
    delete: readOnly,
    sweepStaleUploads: readOnly,
  };
}

function found(objects: ReadonlyMap<string, Buffer>, name: string): Buffer {
  const bytes = objects.get(name);
  if (bytes !== undefined) return bytes;
  throw new GuardianError('store.not-found', `no ${name}`);
}

async function objectsOf(store: ObjectStore): Promise<Map<string, Buffer>> {
  const objects = new Map<string, Buffer>();
  for await (const { name } of store.list('')) objects.set(name, await collectBytes(store.get(name)));
  return objects;
}
