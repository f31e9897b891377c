import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptHashes } from '../../lib/backup/capture/kept-hashes.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { liveHash, putOne } from '../harness/etcd-content.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
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
      endpoint: () => etcd.endpoint,
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
