import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compact, hashesComputed, putOne } from '../../test/harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../../test/harness/etcd.ts';
import { sample } from '../../test/harness/sampling.ts';
import { needs } from '../../test/harness/tools.ts';
import { connectEtcd } from '../etcd/client/connect-etcd.ts';
import { createSnapshotVerifier } from '../etcd/mvcc/snapshot-verifier.ts';
import type { SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import type { Proof } from '../repository/manifest.ts';
import { proveSnapshot, type ProvingClient } from './prove.ts';

const AFFORDABLE = 1e9;
const NOTHING = 0;

for (const version of sample(['3.5.35', '3.6.16', '3.7.3'] as const, 1, 'hashes of compactions')) {
  describe(`etcd ${version}, which keeps hashes of compactions,`, needs(`etcd ${version}`), () => {
    test('proves a snapshot by that of the next compaction, and computes nothing', async () => {
      await using etcd = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b', 'a', 'a']);
      await compact(etcd, 3n);
      const snapshot = await snapshotOf(etcd);
      assert.deepEqual([snapshot.currentRevision, snapshot.compactRevision], [5n, 3n]);
      await putKeys(etcd, ['a', 'b']);
      await compact(etcd, 5n);
      const proof = await prove(etcd, snapshot, AFFORDABLE);
      assert.ok(proof.kind === 'compaction-hashkv', toldOf(proof));
      assert.deepEqual([proof.revision, proof.compactRevision], [5n, 3n]);
      assert.equal(await hashesComputed(etcd), 0);
    });

    test('proves the first snapshot of all as well, up to the compaction', async () => {
      await using etcd = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b', 'a', 'a', 'b']);
      const snapshot = await snapshotOf(etcd);
      await compact(etcd, 4n);
      const proof = await prove(etcd, snapshot, AFFORDABLE);
      assert.ok(proof.kind === 'compaction-hashkv', toldOf(proof));
      assert.deepEqual([proof.revision, proof.compactRevision], [4n, -1n]);
    });

    test('disproves what differs by it', async () => {
      await using etcd = await startEtcd({ version });
      await using other = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b', 'c']);
      await putKeys(other, ['a', 'x', 'c']);
      const snapshot = await snapshotOf(etcd);
      await compact(other, 4n);
      const proof = await prove(other, snapshot, AFFORDABLE);
      assert.equal(proof.kind, 'mismatch');
      assert.equal(await hashesComputed(other), 0);
    });

    test('over the budget is asked only for what it can’t have to compute: an older compaction', async () => {
      await using etcd = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b', 'a', 'a', 'b']);
      const snapshot = await snapshotOf(etcd);
      await compact(etcd, 4n);
      assert.equal((await prove(etcd, snapshot, NOTHING)).kind, 'none');
      // The next compaction comes when the first one was seen.
      let looks = 0;
      const onLook = async (): Promise<void> => {
        looks += 1;
        if (looks === 2) await compact(etcd, 6n);
      };
      const proof = await prove(etcd, snapshot, NOTHING, 60_000, onLook);
      assert.ok(proof.kind === 'compaction-hashkv', toldOf(proof));
      assert.equal(proof.revision, 4n);
      assert.equal(await hashesComputed(etcd), 0);
    });

    test('is waited for', async () => {
      await using etcd = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b', 'a', 'a', 'b']);
      const snapshot = await snapshotOf(etcd);
      // It comes when there was none at the first look, and is through before the next one.
      let looks = 0;
      const onLook = async (): Promise<void> => {
        looks += 1;
        if (looks !== 2) return;
        await putKeys(etcd, ['a']);
        await compact(etcd, 5n);
      };
      const proof = await prove(etcd, snapshot, AFFORDABLE, 60_000, onLook);
      assert.ok(proof.kind === 'compaction-hashkv', toldOf(proof));
      assert.equal(proof.revision, 5n);
      assert.equal(await hashesComputed(etcd), 0);
    });

    test('is waited for as long as was asked for, then it has to compute', async () => {
      await using etcd = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b']);
      const snapshot = await snapshotOf(etcd);
      assert.equal((await prove(etcd, snapshot, AFFORDABLE, 100)).kind, 'live-hashkv');
      assert.equal((await prove(etcd, snapshot, NOTHING, 100)).kind, 'none');
      assert.equal(await hashesComputed(etcd), 1);
    });

    test('has to compute what a restart made it forget, and is asked within the budget only', async () => {
      await using etcd = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b', 'a', 'a', 'b']);
      const snapshot = await snapshotOf(etcd);
      await compact(etcd, 4n);
      await etcd.restart();
      assert.equal((await prove(etcd, snapshot, NOTHING)).kind, 'none');
      assert.equal(await hashesComputed(etcd), 0);
      const proof = await prove(etcd, snapshot, AFFORDABLE);
      assert.ok(proof.kind === 'live-hashkv', toldOf(proof));
      assert.deepEqual([proof.revision, proof.compactRevision], [4n, 4n]);
    });

    test('is not waited for when its compactions have left the snapshot behind', async () => {
      await using etcd = await startEtcd({ version });
      await putKeys(etcd, ['a', 'b']);
      const snapshot = await snapshotOf(etcd);
      await putKeys(etcd, ['a', 'b']);
      await compact(etcd, 5n);
      const since = performance.now();
      assert.equal((await prove(etcd, snapshot, AFFORDABLE, 60_000)).kind, 'none');
      assert.ok(performance.now() - since < 30_000);
    });
  });
}

async function putKeys(etcd: Etcd, keys: readonly string[]): Promise<void> {
  for (const key of keys) await putOne(etcd, key, `value of ${key}`);
}

async function snapshotOf(etcd: Etcd): Promise<SnapshotVerdict> {
  await using client = connectEtcd({ endpoints: [etcd.endpoint] });
  const verifier = createSnapshotVerifier({ trailer: 'required' });
  for await (const bytes of client.snapshot(etcd.endpoint)) verifier.write(bytes);
  return verifier.finish();
}

async function prove(
  etcd: Etcd,
  verdict: SnapshotVerdict,
  budgetBytes: number,
  waitMs = 0,
  onLook: () => Promise<void> = () => Promise.resolve(),
): Promise<Proof> {
  await using client = connectEtcd({ endpoints: [etcd.endpoint] });
  const looking: ProvingClient = {
    status: client.status.bind(client),
    hashKV: client.hashKV.bind(client),
    watch: client.watch.bind(client),
    range: async (key, options) => {
      await onLook();
      return client.range(key, options);
    },
  };
  const snapshot = { verdict, hashKVAt: verdict.hashKVAt.bind(verdict) };
  return await proveSnapshot(looking, snapshot, {
    endpoint: etcd.endpoint,
    budget: { followerBytes: budgetBytes, leaderBytes: budgetBytes },
    waitMs,
    clock: () => new Date(),
  });
}

function toldOf(proof: Proof): string {
  return proof.kind === 'none' ? proof.reason : proof.kind;
}
