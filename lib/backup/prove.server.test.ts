import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compact, hashesComputed, putOne } from '../../test/harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../../test/harness/etcd.ts';
import { needs } from '../../test/harness/tools.ts';
import { connectEtcd } from '../etcd/client/connect-etcd.ts';
import type { EtcdCredentials } from '../etcd/client/etcd-settings.ts';
import { createSnapshotVerifier } from '../etcd/mvcc/snapshot-verifier.ts';
import type { SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import type { Proof } from '../repository/manifest.ts';
import { proveSnapshot, type ProofRequest } from './prove.ts';

const NOW = new Date('2026-11-22T05:30:00.000Z');

describe('a snapshot asked to be proven', needs('etcd 3.4.23', 'etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  test('equals the member that it came from', async () => {
    await using etcd = await startEtcd();
    const snapshot = await snapshotOf(etcd, ['a', 'b', 'a']);
    const { memberId } = await etcd.status();
    assert.deepEqual(await prove(etcd, snapshot), {
      kind: 'live-hashkv',
      hash: snapshot.hashKV,
      ...{ revision: 4n, compactRevision: -1n, memberId, endpoint: etcd.endpoint, provenAt: NOW },
    });
  });

  test('equals a member that has gone on, and compacted what the snapshot still holds', async () => {
    await using etcd = await startEtcd({ version: '3.4.23' });
    const snapshot = await snapshotOf(etcd, ['a', 'b', 'a', 'a']);
    await putOne(etcd, 'a', 'later');
    await compact(etcd, 4n);
    const proof = await prove(etcd, snapshot);
    assert.deepEqual([proof.kind, proof.kind !== 'none' && proof.compactRevision], ['live-hashkv', 4n]);
  });

  test('differs from a member that holds other data at the same revision', async () => {
    await using etcd = await startEtcd();
    await using other = await startEtcd();
    const snapshot = await snapshotOf(etcd, ['a', 'b']);
    const others = await snapshotOf(other, ['a', 'c']);
    const proof = await prove(other, snapshot);
    assert.ok(proof.kind === 'mismatch');
    assert.deepEqual([proof.hash, proof.fileHash, proof.revision], [others.hashKV, snapshot.hashKV, 3n]);
  });

  test('equals a member that holds the same and has to catch up first', async () => {
    await using etcd = await startEtcd();
    await using behind = await startEtcd();
    const snapshot = await snapshotOf(etcd, ['a', 'b']);
    await putOne(behind, 'a', 'value of a');
    const [proof] = await Promise.all([prove(behind, snapshot), putOne(behind, 'b', 'value of b')]);
    assert.equal(proof.kind, 'live-hashkv');
  });

  test('is not proven where its revision was compacted before its hash was asked for', async () => {
    await using etcd = await startEtcd();
    const snapshot = await snapshotOf(etcd, ['a', 'b']);
    for (const key of ['a', 'b', 'c']) await putOne(etcd, key, 'later');
    await compact(etcd, 5n);
    const proof = await prove(etcd, snapshot);
    assert.match(unproven(proof), /revision 3 was compacted before .* \(the member is at 6\)/);
  });

  test('is not misled by the hash that a member keeps of a compaction at that very revision', async () => {
    await using etcd = await startEtcd();
    for (const key of ['a', 'a', 'b']) await putOne(etcd, key, 'value');
    await compact(etcd, 4n);
    const snapshot = await snapshotOf(etcd, []);
    assert.deepEqual([snapshot.currentRevision, snapshot.compactRevision], [4n, 4n]);
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    const kept = await client.hashKV(etcd.endpoint, 4n);
    assert.equal(kept.compactRevision, -1n, 'etcd answers what it computed before it compacted');
    assert.notEqual(kept.hash, snapshot.hashKV);
    const proof = await prove(etcd, snapshot);
    assert.deepEqual([proof.kind, proof.kind !== 'none' && proof.compactRevision], ['live-hashkv', 4n]);
  });

  test('does not ask a member whose database is over the budget', async () => {
    await using etcd = await startEtcd();
    const snapshot = await snapshotOf(etcd, ['a']);
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    const budget = { followerBytes: 1e9, leaderBytes: 1000 };
    const request: ProofRequest = { endpoint: etcd.endpoint, budget, clock: () => NOW };
    const proof = await proveSnapshot(client, snapshotParts(snapshot), request);
    assert.match(unproven(proof), /budget \(1000 bytes\): hashing it would hold the cluster's writes/);
    assert.equal(await hashesComputed(etcd), 0);
  });

  test('is not proven by a user without the right, nor by a member that is gone, and says so', async () => {
    await using etcd = await startEtcd({ rootPassword: 'root' });
    const root = { username: 'root', password: 'root' };
    const snapshot = await snapshotOf(etcd, [], root);
    await etcd.etcdctl('user', 'add', 'reader:secret');
    await etcd.etcdctl('role', 'add', 'reads');
    await etcd.etcdctl('role', 'grant-permission', 'reads', '--prefix=true', 'read', '');
    await etcd.etcdctl('user', 'grant-role', 'reader', 'reads');
    const reader = { username: 'reader', password: 'secret' };
    assert.match(
      unproven(await prove(etcd, snapshot, reader)),
      /gave no hash to compare with: .*permission denied/,
    );
    await etcd.kill();
    assert.match(unproven(await prove(etcd, snapshot, root)), new RegExp(`^${etcd.endpoint} gave no hash`));
  });

  test('stops when it is told to', async () => {
    await using etcd = await startEtcd();
    await using behind = await startEtcd();
    const snapshot = await snapshotOf(etcd, ['a', 'b']);
    const stop = new AbortController();
    const proving = prove(behind, snapshot, undefined, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(proving, /enough/);
  });
});

/** Puts the keys, one revision each, and verifies a snapshot of the member. */
async function snapshotOf(
  etcd: Etcd,
  keys: readonly string[],
  credentials?: EtcdCredentials,
): Promise<SnapshotVerdict> {
  for (const key of keys) await putOne(etcd, key, `value of ${key}`);
  await using client = connectEtcd({ endpoints: [etcd.endpoint], credentials });
  const verifier = createSnapshotVerifier({ trailer: 'required' });
  for await (const bytes of client.snapshot(etcd.endpoint)) verifier.write(bytes);
  const verdict = verifier.finish();
  assert.deepEqual(verdict.problems, []);
  return verdict;
}

async function prove(
  member: Etcd,
  snapshot: SnapshotVerdict,
  credentials?: EtcdCredentials,
  signal?: AbortSignal,
): Promise<Proof> {
  await using client = connectEtcd({ endpoints: [member.endpoint], credentials });
  const budget = { followerBytes: 1e9, leaderBytes: 1e9 };
  const request = { endpoint: member.endpoint, budget, clock: () => NOW, signal };
  return await proveSnapshot(client, snapshotParts(snapshot), request);
}

function snapshotParts(verdict: SnapshotVerdict): Parameters<typeof proveSnapshot>[1] {
  return { verdict, hashKVAt: verdict.hashKVAt.bind(verdict) };
}

function unproven(proof: Proof): string {
  assert.ok(proof.kind === 'none', `it is ${proof.kind}`);
  return proof.reason;
}
