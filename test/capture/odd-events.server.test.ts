import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { fillWithHistory, putOne } from '../harness/etcd-content.ts';
import { base64, callGateway } from '../harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { type LiveCapture, startLiveCapture } from '../harness/live-capture.ts';
import { putUnderShortLease } from '../harness/random-workload.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { ETCD_VERSIONS, needs } from '../harness/tools.ts';

/** What clients do to an etcd that is captured, and how it looks in the store afterwards. */
const oddities: Readonly<Record<string, (etcd: Etcd, capture: LiveCapture) => Promise<void>>> = {
  async 'a history of everything'(etcd) {
    await fillWithHistory(etcd, testRandom('captured history'), 80);
  },
  async 'a transaction of thousands of changes'(etcd) {
    const puts = Array.from({ length: 4000 }, (_, number) => ({
      request_put: { key: base64(`/txn/${number}`), value: base64(`${number} `.repeat(50)) },
    }));
    await callGateway(etcd, 'kv/txn', { success: puts });
  },
  async 'a deletion of fifty thousand keys in one revision'(etcd) {
    for (let from = 0; from < 50_000; from += 5000) {
      const puts = Array.from({ length: 5000 }, (_, number) => ({
        request_put: { key: base64(`/many/${from + number}`), value: '' },
      }));
      await callGateway(etcd, 'kv/txn', { success: puts });
    }
    await callGateway(etcd, 'kv/deleterange', { key: base64('/many/'), range_end: base64('/many0') });
  },
  async 'values of 1.4 MB that no compression makes smaller'(etcd) {
    const random = testRandom('large values');
    for (let number = 0; number < 12; number++) {
      const value = base64(random.bytes(1_400_000));
      await callGateway(etcd, 'kv/put', { key: base64(`/large/${number % 5}`), value });
    }
  },
  async 'leases that are revoked or expire around a seal, and those that stay'(etcd, capture) {
    const grant = async (TTL: number): Promise<string> => {
      return String((await callGateway(etcd, 'lease/grant', { TTL })).ID);
    };
    const put = async (key: string, lease: string): Promise<void> => {
      await callGateway(etcd, 'kv/put', { key: base64(key), value: base64('x'), lease });
    };
    const [long, revoked, idle] = [await grant(7200), await grant(3600), await grant(500)];
    const short = Array.from({ length: 5 }, (_, key) => `/short/${key}`);
    await putUnderShortLease(etcd, short, 1);
    for (let key = 0; key < 5; key++) {
      await put(`/long/${key}`, long);
      await put(`/revoked/${key}`, revoked);
    }
    await capture.stored((await etcd.status()).revision);
    await callGateway(etcd, 'lease/revoke', { ID: revoked });
    await eventually('the short lease expires', async () => {
      const { kvs } = await callGateway(etcd, 'kv/range', { key: base64('/short/0') });
      return kvs === undefined;
    });
    // etcd tells of leases when it is asked: what its answer comes too late for, the next segment tells.
    await eventually('the leases are told, also one without keys', async () => {
      await capture.stored(await putOne(etcd, '/after', 'the expiry'));
      const told = new Map(
        capture
          .of('stored')
          .flatMap(({ segment }) => segment.head.leases.granted.map(([id, ttl]) => [id, ttl])),
      );
      return told.get(BigInt(long)) === 7200n && told.get(BigInt(idle)) === 500n;
    });
  },
  async 'compactions that come between watch and seal, and a defragmentation'(etcd, capture) {
    for (let round = 0; round < 5; round++) {
      const revision = await putOne(etcd, '/compacted', `round ${round}`);
      await putOne(etcd, '/gone', 'x');
      await callGateway(etcd, 'kv/deleterange', { key: base64('/gone') });
      await eventually('it is seen', () => (capture.status().seenRevision ?? 0n) >= revision);
      await callGateway(etcd, 'kv/compaction', { revision: String(revision + 1n), physical: true });
    }
    await etcd.etcdctl('defrag');
  },
  async 'a database that is full'(etcd) {
    const fill = async (): Promise<void> => {
      for (;;)
        await callGateway(etcd, 'kv/put', { key: base64('/full'), value: base64(Buffer.alloc(1_400_000)) });
    };
    await assert.rejects(Promise.race(Array.from({ length: 4 }, fill)), /database space exceeded/);
    await callGateway(etcd, 'kv/deleterange', { key: base64('/full') });
  },
};

describe('captured exactly:', () => {
  const [version = '3.6.16'] = sample([...ETCD_VERSIONS], 1, 'version of odd events');
  for (const each of process.env.TEST_MATRIX === '1' ? ETCD_VERSIONS : [version]) {
    test(`whatever happens in etcd ${each}`, needs(`etcd ${each}`, `etcdctl ${each}`), async (context) => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({
        version: each,
        args: ['--max-txn-ops=10000', '--quota-backend-bytes=50000000'],
      });
      const store = new LocalStore(folder.join('store'));
      await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store });
      await capture.reached('chain');
      const { backup } = capture.of('base')[0] ?? {};
      assert.ok(backup !== undefined);
      const base = (await capture.repository.find(backup.cluster, backup.id)).backup;
      let revision = 0n;
      for (const [what, happen] of Object.entries(oddities)) {
        await context.test(what, async () => {
          await happen(etcd, capture);
          revision = (await etcd.status()).revision;
          await capture.stored(revision);
        });
      }
      assert.equal((await assertCaptured(capture.repository, etcd, base)).revision, revision);
      assert.deepEqual([capture.status().gaps, capture.status().bases], [0, 1]);
    });
  }
});
