import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptHashes } from '../../lib/backup/capture/kept-hashes.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { liveHash, putOne } from '../harness/etcd-content.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import { startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { needs } from '../harness/tools.ts';

test(
  'the hashes of compactions are collected as members keep them, once each',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using etcd = await startEtcd();
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    const ending = new AbortController();
    const hashes = new KeptHashes(client, {
      endpoints: () => [etcd.endpoint, etcd.endpoint],
      everyMs: 20,
      signal: ending.signal,
    });
    const running = hashes.run();
    const compact = async (): Promise<{ revision: bigint; hash: number }> => {
      await putOne(etcd, '/a', 'x');
      const revision = await putOne(etcd, '/b', 'y');
      const { hash } = await liveHash(etcd);
      await callGateway(etcd, 'kv/compaction', { revision: String(revision), physical: true });
      await putOne(etcd, '/c', 'z');
      return { revision, hash };
    };
    let before = -1n;
    for (let round = 0; round < 2; round++) {
      const { revision, hash } = await compact();
      assert.deepEqual(hashes.take(revision - 1n), [], 'no segment carries what lies behind it');
      const [kept] = await eventually('the hash is collected', () => {
        const taken = hashes.take(revision);
        return taken.length > 0 && taken;
      });
      assert.deepEqual([kept?.revision, kept?.compactRevision, kept?.hash], [revision, before, hash]);
      assert.deepEqual(hashes.take(revision), []);
      before = revision;
    }
    ending.abort();
    await running;
  },
);

test('each member is asked once, and one that is away is left out', needs('etcd 3.6.16'), async () => {
  await using cluster = await startEtcdCluster();
  const [first, , third] = cluster.members;
  assert.ok(first !== undefined && third !== undefined);
  await using client = connectEtcd({ endpoints: cluster.endpoints, connectTimeoutMs: 500 });
  const ending = new AbortController();
  const hashes = new KeptHashes(client, {
    endpoints: () => [first.endpoint, ...cluster.endpoints],
    everyMs: 500,
    signal: ending.signal,
  });
  const running = hashes.run();
  await using ends = new AsyncDisposableStack();
  ends.defer(async () => {
    ending.abort();
    await running;
  });
  const members = async (): Promise<number> => {
    await putOne(first, '/a', 'x');
    const revision = await putOne(first, '/b', 'y');
    await callGateway(first, 'kv/compaction', { revision: String(revision), physical: true });
    const taken = await eventually('the hashes are collected', () => {
      const kept = hashes.take(revision);
      return kept.length > 0 && kept;
    });
    const newest = taken.filter((kept) => kept.revision === taken.at(-1)?.revision);
    assert.equal(new Set(newest.map(({ hash }) => hash)).size, 1);
    assert.equal(new Set(newest.map(({ memberId }) => memberId)).size, newest.length);
    return newest.length;
  };
  await eventually('all three are heard', async () => (await members()) === 3);
  await third.kill();
  await eventually('two are heard', async () => (await members()) === 2);
});
