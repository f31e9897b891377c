import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import {
  buildDecrypt,
  CommitmentPolicy,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
} from '@aws-crypto/client-node';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type { PartRecord } from '../../lib/repository/part-records.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { backUp, repositorySettings, repositoryWithBackup, testKeys } from '../harness/repository.ts';
import { runProgram } from '../harness/run-program.ts';
import { appendSegments, entriesOfSegment } from '../harness/segments.ts';
import { smallSnapshot } from '../harness/small-snapshot.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const FORMAT = new URL('../../docs/format.md', import.meta.url);

test('the example in docs/format.md reads a backup that was signed, and one that was not', async () => {
  await using folder = await temporaryFolder();
  const { encryption, ...signing } = testKeys();
  assert.ok(encryption);
  await writeFile(folder.join('public.pem'), publicKeyOf(testKeys()));
  // More than one frame.
  const snapshot = await smallSnapshot({ keys: 40_000 });
  assert.ok(snapshot.bytes.length > 4 << 20);
  for (const [name, keys, pinned] of [
    ['signed', signing, [folder.join('public.pem')]],
    ['unsigned', {}, []],
  ] as const) {
    const store = new LocalStore(folder.join(name));
    const { timeline, id } = await backUp(await openRepository(repositorySettings(store, keys)), snapshot);
    const out = folder.join(`${name}.db`);
    await runExample(folder.join('read-backup.mjs'), [
      folder.join(name),
      'prod',
      timeline,
      id,
      out,
      ...pinned,
    ]);
    assert.deepEqual(await readFile(out), snapshot.bytes);
  }
});

test('the example refuses a wrong key and a changed base', async () => {
  await using folder = await temporaryFolder();
  const { encryption, ...signing } = testKeys();
  assert.ok(encryption);
  await writeFile(folder.join('public.pem'), publicKeyOf(testKeys(9)));
  const store = new LocalStore(folder.join('store'));
  const repository = await openRepository(repositorySettings(store, signing));
  const { timeline, id, manifest } = await backUp(repository, await smallSnapshot());
  const args = [folder.join('store'), 'prod', timeline, id, folder.join('out')];
  const script = folder.join('read-backup.mjs');
  await assert.rejects(runExample(script, [...args, folder.join('public.pem')]), /not right: signature/);
  const base = folder.join('store', manifest.base.name);
  const bytes = await readFile(base);
  await writeFile(base, bytes.fill(0, 100, 101));
  await assert.rejects(runExample(script, args), /not right: SHA-256 of the base/);
});

test('a sealed base opens with the AWS Encryption SDK alone, in the context that docs/keys.md tells', async () => {
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  const repository = await openRepository(repositorySettings(store, testKeys()));
  const snapshot = await smallSnapshot();
  const { timeline, id } = await backUp(repository, snapshot);

  const chain = `clusters/prod/timelines/${timeline}/chains/${id}`;
  const { payload } = JSON.parse(await readFile(folder.join(chain, 'manifest.json'), 'utf8')) as {
    payload: string;
  };
  const { base } = JSON.parse(Buffer.from(payload, 'base64').toString()) as {
    base: { name: string; sha256: string; recipients: { id: string }[] };
  };
  const sealed = await readFile(folder.join(base.name));
  assert.equal(createHash('sha256').update(sealed).digest('hex'), base.sha256);
  const { plaintext, context } = await openedBySdk(sealed, base.recipients[0]?.id ?? '');
  assert.deepEqual(context, { cluster: 'prod', timeline, object: base.name, format: 'etcdguardian/1' });
  assert.deepEqual(zstdDecompressSync(plaintext), snapshot.bytes);
});

test('the example reads a segment that was signed, and one that was not, and refuses what was changed', async () => {
  await using folder = await temporaryFolder();
  const { encryption, ...signing } = testKeys();
  assert.ok(encryption);
  await writeFile(folder.join('public.pem'), publicKeyOf(testKeys()));
  const script = folder.join('read-segment.mjs');
  for (const [name, keys, pinned] of [
    ['signed', signing, [folder.join('public.pem')]],
    ['unsigned', {}, []],
  ] as const) {
    const { repository, backup, snapshot } = await repositoryWithBackup(
      repositorySettings(new LocalStore(folder.join(name)), keys),
    );
    const { segments: log } = repository;
    const [first, second] = await appendSegments(log, log.tailOf(backup), [25n, 2500n]);
    assert.ok(first?.last !== undefined && second?.last !== undefined);
    for (const [{ last }, from, to] of [
      [first, snapshot.revision, 25n],
      [second, 25n, 2500n],
    ] as const) {
      const file = folder.join(name, last?.name ?? '');
      const lines = (await runExample(script, [file, ...pinned])).trimEnd().split('\n');
      assert.deepEqual(
        lines,
        entriesOfSegment(from, to).map(([key, value]) => `${key} ${value}`),
      );
    }
    const file = folder.join(name, second.last.name);
    const bytes = await readFile(file);
    await writeFile(file, bytes.fill(0, bytes.length - 9));
    await assert.rejects(runExample(script, [file, ...pinned]), /not right: SHA-256 of the body/);
  }
});

test('a sealed segment opens with the AWS Encryption SDK alone, in the context of its name', async () => {
  await using folder = await temporaryFolder();
  const { repository, backup } = await repositoryWithBackup(
    repositorySettings(new LocalStore(folder.path), testKeys()),
  );
  const [tail] = await appendSegments(repository.segments, repository.segments.tailOf(backup), [30n]);
  assert.ok(tail?.last !== undefined);
  const { name, size, head } = tail.last;
  const sealed = (await readFile(folder.join(name))).subarray(size - head.storedSize);
  const { plaintext, context } = await openedBySdk(sealed, head.recipients[0]?.id ?? '');
  assert.deepEqual(context, {
    cluster: 'prod',
    timeline: tail.timeline,
    object: name,
    format: 'etcdguardian/1',
  });
  assert.equal(zstdDecompressSync(plaintext).length, head.batches[0]?.plainSize);
});

test('the example reads the objects of a backup of namespaces', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path)));
  const request = { cluster: 'prod', etcdClusterId: 1n, clusterRevision: 1n };
  const place = await repository.namespaces.begin(request);
  const records = async function* (): AsyncGenerator<PartRecord> {
    yield await Promise.resolve({ key: 'configmaps/prod/a', value: Buffer.from('one') });
    yield { key: 'namespaces/prod', value: Buffer.alloc(5 << 20, 'x') };
  };
  const { name } = await repository.namespaces.putPart(place, 'etcd', records());
  assert.match(name, /^clusters\/prod\/timelines\/000001\/namespaces\/[^/]+\/etcd\.zst$/);
  const printed = await runExample(folder.join('read-part.mjs'), [folder.join(name)]);
  assert.equal(
    printed.trim(),
    `configmaps/prod/a b25l\nnamespaces/prod ${Buffer.alloc(5 << 20, 'x').toString('base64')}`,
  );
});

test('the names in a store are those that docs/format.md shows', async () => {
  await using folder = await temporaryFolder();
  const repository = await openRepository(repositorySettings(new LocalStore(folder.path), testKeys()));
  const snapshot = await smallSnapshot();
  const backup = await backUp(repository, snapshot, { attachments: { 'pki.tar': Buffer.from('a key') } });
  await appendSegments(repository.segments, repository.segments.tailOf(backup), [25n, 26n]);
  await repository.removeBackup(backup, { by: 'alice' });
  await repository.joinRestore({
    ...{ cluster: 'prod', backup, own: ['m1'], bump: 'auto', by: 'alice', firstRevision: () => 99n },
    members: [{ name: 'm1', peerUrls: ['http://127.0.0.1:2380'] }],
  });
  const names = (await readdir(folder.path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath.slice(folder.path.length + 1)}/${entry.name}`.replace(/^\//, ''));
  const timeline = 'clusters/prod/timelines/000001';
  assert.deepEqual(names.sort(), [
    `clusters/prod/restores/000001/members/${createHash('sha256').update('m1').digest('hex')}.json`,
    'clusters/prod/restores/000001/restore.json',
    `${timeline}/chains/${backup.id}/attachments/pki.tar.zst.sealed`,
    `${timeline}/chains/${backup.id}/base.zst.sealed`,
    `${timeline}/chains/${backup.id}/manifest.json`,
    `${timeline}/chains/${backup.id}/segments/0000000000000000021.segment`,
    `${timeline}/chains/${backup.id}/segments/0000000000000000025.segment`,
    `${timeline}/high-water/9223372036854775786-21.json`,
    `${timeline}/removals/${backup.id}/0001.json`,
    `${timeline}/timeline.json`,
    'etcdguardian.json',
  ]);
  assert.match(backup.id, /^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$/);
  const marker = await readFile(folder.join('etcdguardian.json'), 'utf8');
  assert.ok((await readFile(FORMAT, 'utf8')).includes(`    ${marker}`));
});

/** Runs the example in docs/format.md that is called like the file; resolves to what it prints. */
async function runExample(path: string, args: readonly string[]): Promise<string> {
  const examples = (await readFile(FORMAT, 'utf8')).matchAll(/```js\n([^]*?)```/g);
  const [, example = ''] = examples.find(([, text]) => text?.includes(`node ${basename(path)} `)) ?? [];
  await writeFile(path, example);
  return runProgram(process.execPath, [path, ...args]);
}

/** With the key of `testKeys`. */
async function openedBySdk(
  sealed: Buffer,
  recipient: string,
): Promise<{ plaintext: Buffer; context: Record<string, string> }> {
  const keyring = new RawAesKeyringNode({
    keyName: recipient,
    keyNamespace: 'etcdguardian',
    unencryptedMasterKey: new Uint8Array(32).fill(7),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  });
  const { decrypt } = buildDecrypt(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
  const { plaintext, messageHeader } = await decrypt(keyring, sealed);
  return { plaintext, context: { ...messageHeader.encryptionContext } };
}

function publicKeyOf({ description }: ReturnType<typeof testKeys>): string {
  const key = description.keys.find(({ publicKey }) => publicKey !== undefined)?.publicKey;
  assert.ok(key);
  return key;
}
