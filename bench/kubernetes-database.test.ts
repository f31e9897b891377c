import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { openBoltFile } from '../lib/etcd/bolt/reader.ts';
import { stateAt } from '../lib/etcd/mvcc/state-at.ts';
import { readStoreRevisions } from '../lib/etcd/mvcc/store-revisions.ts';
import { uidOfNamespace } from '../lib/keyspace/cluster-uid.ts';
import { writeKubernetesDatabase } from './kubernetes-database.ts';

test('a database is what was asked for, and the same again from the same seed', async () => {
  await using folder = await temporaryFolder();
  const [path, again, other] = [folder.join('x.db'), folder.join('y.db'), folder.join('z.db')];
  const options = { seed: 7, targetBytes: 20_000_000 };
  const written = await writeKubernetesDatabase(path, options);
  assert.ok(Math.abs(written.size / options.targetBytes - 1) < 0.15, `${written.size} bytes`);
  await writeKubernetesDatabase(again, options);
  await writeKubernetesDatabase(other, { ...options, seed: 8 });
  const bytes = await readFile(path);
  assert.ok(bytes.equals(await readFile(again)));
  assert.ok(!bytes.equals(await readFile(other)));

  const ratio = bytes.length / zstdCompressSync(bytes).length;
  assert.ok(ratio > 3.5 && ratio < 6, `compresses ${ratio} times`);

  await using file = await openBoltFile(path);
  const { currentRevision, compactRevision } = await readStoreRevisions(file);
  assert.equal(currentRevision, written.revision);
  assert.equal(compactRevision, written.compactRevision);
  let live = 0;
  let uid: string | undefined;
  const sizes: number[] = [];
  const leases = new Set<bigint>();
  for await (const { key, value, lease } of stateAt(file)) {
    live++;
    sizes.push(value.length);
    if (lease !== 0n) leases.add(lease);
    if (key.equals(Buffer.from('/registry/namespaces/kube-system'))) uid = uidOfNamespace(value);
  }
  assert.equal(live, written.liveKeys);
  assert.equal(uid, written.kubeSystemUid);
  const median = sizes.sort((a, b) => a - b)[sizes.length >> 1] ?? 0;
  assert.ok(median > 1000 && median < 3000, `median ${median} bytes`);
  assert.ok(leases.size > 0 && leases.size <= written.leases);
});

test('without a compaction all of the history is there', async () => {
  await using folder = await temporaryFolder();
  const path = folder.join('x.db');
  const written = await writeKubernetesDatabase(path, { seed: 1, targetBytes: 3_000_000, compacted: false });
  await using file = await openBoltFile(path);
  assert.equal((await readStoreRevisions(file)).compactRevision, -1n);
  let mains = 0n;
  let last = 1n;
  for await (const batch of file.entries('key')) {
    for (let index = 0; index < batch.count; index++) {
      const main = batch.bytes.readBigInt64BE(batch.keyStarts[index] ?? 0);
      if (main === last) continue;
      assert.equal(main, last + 1n);
      last = main;
      mains++;
    }
  }
  assert.equal(mains, written.revision - 1n);
});
