import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { chunksOf } from '../../test/harness/byte-stream.ts';
import {
  backUp,
  ETCD_CLUSTER,
  HOUR_MS,
  repositorySettings,
  TestClock,
  testKeys,
} from '../../test/harness/repository.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { namespaceManifestName } from './layout.ts';
import type { SoundNamespaceBackup } from './namespace-backups.ts';
import { openRepository } from './open-repository.ts';
import { decodeRecords, encodeRecords, type PartRecord } from './part-records.ts';
import type { Repository } from './repository.ts';

const RECORDS: readonly PartRecord[] = [
  { key: 'configmaps/prod/settings', value: Buffer.from('k8s\0…') },
  { key: 'secrets/prod/empty', value: Buffer.alloc(0) },
];

test('a backup of namespaces is kept apart from those of the cluster', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const settings = repositorySettings(new LocalStore(folder.path), { ...testKeys(), clock: clock.read });
  const repository = await openRepository(settings);
  const backup = await backUpNamespaces(repository, 1n);
  const { id } = backup;

  const { namespaces } = repository;
  assert.deepEqual(await namespaces.list('prod'), [backup]);
  assert.deepEqual(await namespaces.find('prod', id), backup);
  const [part] = backup.manifest.parts;
  assert.ok(part);
  assert.deepEqual(await allOf(namespaces.readPart(backup, part)), RECORDS);
  assert.deepEqual(await repository.listBackups('prod'), []);
  await assert.rejects(repository.find('prod', 'latest'), { code: 'repository.not-found' });
  await assert.rejects(repository.find('prod', id), { code: 'repository.not-found' });

  // On the timeline that backups of the cluster have.
  const snapshot = await smallSnapshot();
  const whole = await backUp(repository, snapshot);
  assert.deepEqual(
    [whole.timeline, (await repository.find('prod', 'latest')).backup.id],
    ['000001', whole.id],
  );
  assert.deepEqual(
    await repository.planRetention('prod', { maxBackups: 1 }).then(({ remove }) => remove),
    [],
  );
  await assert.rejects(namespaces.find('prod', whole.id), { code: 'repository.not-found' });

  // A manifest that is copied to where the other kind lies is refused.
  const copy = folder.join(`clusters/prod/timelines/000001/chains/${whole.id}/manifest.json`);
  await writeFile(copy, await readFile(folder.join(namespaceManifestName(backup))));
  await assert.rejects(repository.find('prod', whole.id), { code: 'signature.malformed' });

  await repository.removeBackup(backup, { by: 'alice' });
  assert.deepEqual(await namespaces.list('prod'), []);
  await assert.rejects(namespaces.find('prod', id), { code: 'repository.removed' });
  assert.equal((await repository.sweep()).deleted.length, 0);
  clock.advance(25 * HOUR_MS);
  const { deleted, unknown } = await repository.sweep();
  assert.deepEqual(
    deleted.map(({ name }) => name.split('/').slice(4).join('/')),
    [`namespaces/${id}/etcd.zst.sealed`, `namespaces/${id}/manifest.json`],
  );
  assert.deepEqual(unknown, []);
});

test('what was never committed is swept after a day', async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock(new Date(Date.now() + 48 * HOUR_MS));
  const settings = repositorySettings(new LocalStore(folder.path), { clock: clock.read });
  const repository = await openRepository(settings);
  const writer = await repository.namespaces.begin(request(1n));
  await repository.namespaces.putPart(writer, 'api', listed(RECORDS));
  assert.deepEqual(await repository.namespaces.list('prod'), []);
  clock.advance(25 * HOUR_MS);
  const { deleted } = await repository.sweep();
  assert.match(deleted[0]?.name ?? '', /namespaces\/[^/]+\/api\.zst$/);
});

test('retention keeps the newest good one, and knows labels', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const [, , newest] = [
    await backUpNamespaces(repository, 10n, { schedule: 'a' }),
    await backUpNamespaces(repository, 20n, { schedule: 'b' }),
    await backUpNamespaces(repository, 30n, { schedule: 'a' }),
  ];
  const policy = { maxBackups: 1, maxAgeMs: -1, labels: { schedule: 'a' } };
  const { keep, remove } = await repository.namespaces.applyRetention('prod', policy, { by: 'test' });
  assert.deepEqual([keep.map(({ backup }) => backup.id), remove.length], [[newest.id], 1]);
  assert.equal((await repository.namespaces.list('prod')).length, 2);
});

test('bytes that are no part are refused at once', async () => {
  const whole = Buffer.concat(await allOf(encodeRecords(listed(RECORDS))));
  const read = async (bytes: Buffer): Promise<number> =>
    (await allOf(decodeRecords(chunksOf(bytes, 3), 'x'))).length;
  assert.equal(await read(whole), 2);
  const ofKey = (length: number, value = 0): Buffer => {
    const head = Buffer.from('EGPART1\n\0\0\0\0\0\0\0\0');
    head.writeUInt32LE(length, 8);
    head.writeUInt32LE(value, 12);
    return head;
  };
  const bad = [
    Buffer.alloc(0),
    Buffer.from('EGPART2\n'),
    whole.subarray(0, -1),
    whole.subarray(0, 12),
    ofKey(0),
    ofKey(0xffff_ffff),
    ofKey(1, 0xffff_ffff),
    Buffer.concat([ofKey(1), Buffer.from([0xff])]),
  ];
  for (const bytes of bad) await assert.rejects(read(bytes), { code: 'repository.damaged' });
});

async function backUpNamespaces(
  repository: Repository,
  revision: bigint,
  labels: Readonly<Record<string, string>> = {},
): Promise<SoundNamespaceBackup> {
  const { namespaces } = repository;
  const writer = await namespaces.begin(request(revision));
  const put = await namespaces.putPart(writer, 'etcd', listed(RECORDS));
  // As it comes from an agent.
  const { compression, recipients, ...told } = put;
  assert.deepEqual(namespaces.describePart(writer, told), { ...told, compression, recipients });
  return namespaces.find('prod', (await writer.commit({ ...FACTS, revision, parts: [put], labels })).id);
}

const request = (clusterRevision: bigint) => ({
  cluster: 'prod',
  etcdClusterId: ETCD_CLUSTER,
  clusterRevision,
});

const FACTS = {
  readAt: new Date(0),
  namespaces: ['prod'],
  resources: [{ resource: 'configmaps', directory: 'configmaps', part: 'etcd' as const }],
  omitted: [{ resource: 'events', reason: 'not backed up' }],
};

async function* listed<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) yield await Promise.resolve(value);
}

async function allOf<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}
