import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunksOf } from '../../test/harness/byte-stream.ts';
import { repositorySettings, repositoryWithBackup } from '../../test/harness/repository.ts';
import { smallSnapshot } from '../../test/harness/small-snapshot.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { checkBase } from './check-base.ts';
import type { Manifest } from './manifest.ts';

const { snapshot, manifest } = await sampleBackup();

test('a base that is what its manifest says has no problems', async () => {
  assert.deepEqual(await check(manifest), []);
  // Large enough for the verifier to have a thread of its own.
  const large = await smallSnapshot({ keys: 150_000 });
  assert.ok(large.bytes.length > 16 << 20);
  const base = { ...manifest.base, plainSize: large.bytes.length };
  const { problems } = await checkBase(chunksOf(large.bytes, 1 << 20), {
    ...manifest,
    base,
    snapshot: large.facts,
  });
  assert.deepEqual(problems, []);
});

test('every figure of the manifest is compared', async () => {
  const facts = manifest.snapshot;
  const differing: [string, Manifest['snapshot']][] = [
    ['revision', { ...facts, revision: 99n }],
    ['currentRevision', { ...facts, currentRevision: 99n }],
    ['compactRevision', { ...facts, compactRevision: 5n }],
    ['totalKeys', { ...facts, totalKeys: 99 }],
    ['totalEntries', { ...facts, totalEntries: 99 }],
    ['totalSize', { ...facts, totalSize: 99 }],
    ['pageSize', { ...facts, pageSize: 8192 }],
    ['sha256', { ...facts, sha256: 'a'.repeat(64) }],
    ['hash', { ...facts, hash: 99 }],
    ['hashKV', { ...facts, hashKV: { ...facts.hashKV, hash: 99 } }],
    ['hashKV', { ...facts, hashKV: { ...facts.hashKV, revision: 99n } }],
    ['leases', { ...facts, leases: 99 }],
    ['orphanLeases', { ...facts, orphanLeases: 99 }],
    ['alarms', { ...facts, alarms: [{ memberId: 1n, kind: 'NOSPACE' }] }],
  ];
  const named = new Set(differing.map(([name]) => name));
  assert.deepEqual(
    Object.keys(facts).filter((name) => !named.has(name)),
    [],
  );
  for (const [name, figures] of differing) {
    const problems = await check({ ...manifest, snapshot: figures });
    assert.equal(problems.length, 1, name);
    assert.match(problems[0] ?? '', new RegExp(`^${name} is .* in the snapshot, and .* in the manifest$`));
  }
});

test('anchors and the proven hash are compared', async () => {
  const anchor = { main: 3n, sub: 0n, checksum: 1, size: 1 };
  assert.match((await check({ ...manifest, anchors: [anchor] })).join(), /^anchor 3.0 is/);
  const proof = { ...manifest.snapshot.hashKV, memberId: 1n, endpoint: 'e', provenAt: new Date() };
  assert.deepEqual(await check({ ...manifest, proof: { kind: 'live-hashkv', ...proof } }), []);
  for (const kind of ['live-hashkv', 'compaction-hashkv'] as const) {
    assert.match(
      (await check({ ...manifest, proof: { kind, ...proof, hash: 1 } })).join(),
      /^the proven hash is/,
    );
  }
});

test('the keys that encrypted values need are compared where the manifest names them', async () => {
  assert.deepEqual(await check({ ...manifest, encryptionAtRest: [] }), []);
  const vault = { provider: 'kms-v2', key: 'vault' };
  assert.deepEqual(await check({ ...manifest, encryptionAtRest: [vault] }), [
    'encryptionAtRest is none in the snapshot, and kms-v2 vault in the manifest',
  ]);
});

test('an unsound base has the verifier’s problems', async () => {
  const bytes = Buffer.from(snapshot.bytes);
  bytes.writeUInt8(0xff, 2 * 4096 + 8);
  const { problems } = await checkBase(chunksOf(bytes, 4096), manifest);
  assert.ok(problems.some(({ code }) => code.startsWith('bolt.')));
});

async function check(described: Manifest): Promise<string[]> {
  const { problems } = await checkBase(chunksOf(snapshot.bytes, 5000), described);
  return problems.map(({ message }) => message);
}

async function sampleBackup(): Promise<{ snapshot: { bytes: Buffer }; manifest: Manifest }> {
  await using folder = await temporaryFolder();
  const { snapshot: file, backup } = await repositoryWithBackup(
    repositorySettings(new LocalStore(folder.path)),
  );
  return { snapshot: file, manifest: backup.manifest };
}
