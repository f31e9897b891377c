import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunksOf, collectBytes } from '../../test/harness/byte-stream.ts';
import { backUp, repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { manifestName, MARKER } from './layout.ts';
import { openRepository } from './open-repository.ts';

test('a backup comes back byte for byte, in plain and encrypted', async () => {
  for (const keys of [{}, testKeys()]) {
    await using folder = await temporaryFolder();
    const store = new LocalStore(folder.path);
    const { repository, snapshot, backup } = await repositoryWithBackup(repositorySettings(store, keys));
    const { backup: found } = await repository.find('prod', backup.id);
    assert.deepEqual(found, backup);
    assert.deepEqual(await collectBytes(repository.readBase(found)), snapshot.bytes);
    assert.deepEqual(await repository.listClusters(), ['prod']);
    assert.deepEqual(await repository.listBackups('prod'), [backup]);
    for (const depth of ['stored', 'deep'] as const) {
      const report = await repository.verifyBackup(backup, { depth });
      assert.deepEqual(
        { problems: report.problems, warnings: report.warnings },
        { problems: [], warnings: [] },
      );
    }
  }
});

test('an empty store is an empty repository, and opening it writes nothing', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.join('not-there-yet'));
  const repository = await openRepository(repositorySettings(store));
  assert.deepEqual(await repository.listClusters(), []);
  assert.deepEqual(await repository.listBackups('prod'), []);
  await assert.rejects(repository.find('prod', 'latest'), { code: 'repository.not-found' });
  assert.deepEqual(await repository.sweep(), { deleted: [], refused: [], unknown: [], abortedUploads: 0 });
  await assert.rejects(store.stat(MARKER), { code: 'store.not-found' });
});

test('a backup is found by the beginning of its id, and nothing by a wrong or an ambiguous one', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, snapshot, backup } = await repositoryWithBackup(repositorySettings(store));
  const second = await backUp(repository, snapshot);
  assert.equal((await repository.find('prod', second.id.slice(0, -1))).backup.id, second.id);
  await assert.rejects(repository.find('prod', backup.id.slice(0, 5)), {
    code: 'repository.ambiguous',
    hint: new RegExp(backup.id),
  });
  for (const which of ['', '2025', `${backup.id}0`, 'newest']) {
    await assert.rejects(repository.find('prod', which), { code: 'repository.not-found' }, which);
  }
  await assert.rejects(repository.find('../prod', 'latest'), { code: 'repository.cluster-name' });
});

test('an uncommitted backup is not listed, and discarding it leaves nothing of it', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, snapshot, backup } = await repositoryWithBackup(repositorySettings(store));
  const writer = await repository.beginBackup(beginning(snapshot.revision));
  const { name } = await writer.putBase(chunksOf(snapshot.bytes, 5000));
  assert.deepEqual(await repository.listBackups('prod'), [backup]);
  await writer.discard();
  await assert.rejects(store.stat(name), { code: 'store.not-found' });
});

test('a source that breaks stores nothing, and its error comes through', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const writer = await repository.beginBackup(beginning(2n));
  const broken = (async function* () {
    yield await Promise.resolve(Buffer.alloc(9 << 20));
    throw new Error('etcd went away');
  })();
  await assert.rejects(writer.putBase(broken), /etcd went away/);
  const names: string[] = [];
  for await (const object of store.list('')) names.push(object.name);
  assert.deepEqual(names, ['clusters/prod/timelines/000001/timeline.json', MARKER]);
});

test('attachments are stored encrypted or not at all', async () => {
  const pki = Buffer.from('-----BEGIN PRIVATE KEY-----');
  await using folder = await temporaryFolder();
  const plain = await openRepository(repositorySettings(new LocalStore(folder.join('plain'))));
  const writer = await plain.beginBackup(beginning(2n));
  await assert.rejects(writer.putAttachment('pki.tar', chunksOf(pki, 9)), {
    code: 'repository.attachment-plaintext',
  });

  const store = new LocalStore(folder.join('sealed'));
  const options = { attachments: { 'pki.tar': pki, 'empty.conf': Buffer.alloc(0) } };
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, testKeys()), options);
  assert.deepEqual(await collectBytes(repository.readAttachment(backup, 'pki.tar')), pki);
  assert.deepEqual(await collectBytes(repository.readAttachment(backup, 'empty.conf')), Buffer.alloc(0));
  assert.throws(() => repository.readAttachment(backup, 'other'), { code: 'repository.not-found' });
  assert.equal((await repository.verifyBackup(backup, { depth: 'deep' })).sound, true);
});

test('keys that are missing, others, or come later are told apart', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, backup } = await repositoryWithBackup(repositorySettings(store, testKeys()));
  const keyless = await openRepository(repositorySettings(store));
  const { backup: seen } = await keyless.find('prod', 'latest');
  await assert.rejects(collectBytes(keyless.readBase(seen)), {
    code: 'encryption.key-missing',
    hint: /aes:/,
  });
  await assert.rejects(keyless.verifyBackup(seen, { depth: 'deep' }), { code: 'encryption.key-missing' });
  assert.equal((await keyless.verifyBackup(seen, { depth: 'stored' })).sound, true);

  const stranger = await openRepository(repositorySettings(store, testKeys(9)));
  await assert.rejects(stranger.find('prod', 'latest'), {
    code: 'signature.untrusted',
    message: new RegExp(backup.id),
  });
  await assert.rejects(collectBytes(stranger.readBase(backup)), { code: 'encryption.key-missing' });

  const unsigned = await backUp(keyless, await smallSnapshot());
  const entry = (await repository.listBackups('prod')).find(({ id }) => id === unsigned.id);
  assert.equal(entry?.state === 'damaged' && entry.problem.code, 'signature.missing');
  const { verifier, ...encrypting } = testKeys();
  assert.ok(verifier);
  const unpinned = await openRepository(repositorySettings(store, encrypting));
  await assert.rejects(collectBytes(unpinned.readBase(unsigned)), { code: 'encryption.plaintext' });
});

test('a backup that the keys of those before could not open is refused before anything is written', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, snapshot } = await repositoryWithBackup(repositorySettings(store, testKeys()));
  const before = (await repository.listBackups('prod')).map(({ id }) => id);
  const names = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const { name } of store.list('')) found.push(name);
    return found;
  };

  const refused = { code: 'repository.other-keys', hint: /--new-keys/ };
  const keyless = await openRepository({ ...repositorySettings(store), requiresSameKeys: true });
  await assert.rejects(backUp(keyless, snapshot), { ...refused, message: /in the clear/ });
  // Also where the newest timeline has no backup yet.
  const interrupted = { cluster: 'prod', etcdClusterId: 99n, clusterRevision: 1n };
  await (await repository.beginBackup(interrupted)).discard();
  const begun = await names();
  await assert.rejects(backUp(keyless, snapshot), { ...refused, message: /in the clear/ });
  const stranger = { ...repositorySettings(store, testKeys(9)), requiresSameKeys: true };
  await assert.rejects(backUp(await openRepository(stranger), snapshot), {
    ...refused,
    message: /belong to other keys/,
  });
  assert.deepEqual(await names(), begun);

  const anew = await openRepository({ ...stranger, requiresSameKeys: false });
  const { id } = await backUp(anew, snapshot);
  assert.equal((await anew.find('prod', 'latest')).backup.id, id);
  // Its keys have a backup there now, and go on with it.
  await backUp(await openRepository(stranger), snapshot);
  const sound = (await repository.listBackups('prod')).filter(({ state }) => state === 'sound');
  assert.deepEqual(
    sound.map((entry) => entry.id),
    before,
  );
});

test('encryption may begin any day', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { snapshot } = await repositoryWithBackup(repositorySettings(store));
  const encrypting = await openRepository({
    ...repositorySettings(store, testKeys()),
    requiresSameKeys: true,
  });
  const { id } = await backUp(encrypting, snapshot);
  assert.equal((await encrypting.find('prod', 'latest')).backup.id, id);
});

test('of two clusters in one store each sees its own', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const snapshot = await smallSnapshot();
  const made = new Map<string, string>();
  for (const cluster of ['a', 'a-b', 'a.b', 'a0', 'b']) {
    const backup = await backUp(repository, snapshot, { request: { cluster } });
    made.set(cluster, backup.id);
  }
  assert.deepEqual(await repository.listClusters(), ['a-b', 'a.b', 'a', 'a0', 'b']);
  for (const [cluster, id] of made) {
    assert.deepEqual(
      (await repository.listBackups(cluster)).map((backup) => backup.id),
      [id],
    );
  }
});

test('segments are jumped over when backups are listed', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const { repository, snapshot, backup } = await repositoryWithBackup(repositorySettings(store));
  const segments = manifestName(backup).replace('manifest.json', 'segments');
  for (const number of ['00000001', '00000002'])
    await store.putIfAbsent(`${segments}/${number}`, Buffer.from('s'));
  const second = await backUp(repository, snapshot);
  const ids = (await repository.listBackups('prod')).map(({ id }) => id);
  assert.deepEqual(ids.toSorted(), [backup.id, second.id].toSorted());
});

test('what a newer program wrote is refused, and so is a place where Velero is at home', async () => {
  await using folder = await temporaryFolder();
  const newer = new LocalStore(folder.join('newer'));
  await newer.putIfAbsent(MARKER, Buffer.from('{"format":"etcdguardian","formatVersion":2,"more":1}'));
  await assert.rejects(openRepository(repositorySettings(newer)), {
    code: 'repository.format',
    hint: /newer/,
  });

  const odd = new LocalStore(folder.join('odd'));
  await odd.putIfAbsent(MARKER, Buffer.from('hello'));
  await assert.rejects(openRepository(repositorySettings(odd)), { code: 'repository.damaged' });

  const velero = new LocalStore(folder.join('velero'));
  await velero.putIfAbsent('backups/nightly/velero-backup.json', Buffer.from('{}'));
  const repository = await openRepository(repositorySettings(velero));
  await assert.rejects(repository.beginBackup(beginning(2n)), { code: 'repository.foreign' });
});

function beginning(clusterRevision: bigint): {
  cluster: string;
  etcdClusterId: bigint;
  clusterRevision: bigint;
} {
  return { cluster: 'prod', etcdClusterId: 0xcdf818194e3a8c32n, clusterRevision };
}

test('what a manifest can’t hold is refused by its name, before it is written', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const labels = { schedule: 'x'.repeat(2000) };
  await assert.rejects(backUp(repository, await smallSnapshot(), { facts: { labels } }), {
    code: 'repository.document-value',
    message: /labels\.schedule/,
  });
  assert.deepEqual(await repository.listBackups('prod'), []);
});
