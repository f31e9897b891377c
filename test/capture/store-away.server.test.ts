import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../../lib/guardian-error.ts';
import { FaultInjectingStore } from '../../lib/storage/fault-injecting-store.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { S3Store } from '../../lib/storage/s3-store.ts';
import { bucketSettings } from '../../lib/storage/s3-store.fixture.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
import { startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { startLiveCapture } from '../harness/live-capture.ts';
import { startS3Server } from '../harness/s3.ts';
import { testRandom } from '../harness/sampling.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const ETCD = needs('etcd 3.6.16', 'etcdctl 3.6.16');
const noise = testRandom('what waits for a store');

test(
  'what a bucket that is away can’t take waits in memory, then on disk, and nothing is missing afterwards',
  needs('etcd 3.6.16', 'etcdctl 3.6.16', 'versitygw'),
  async () => {
    await using etcd = await startEtcd();
    await using s3 = await startS3Server();
    await s3.createBucket('backups');
    const store = new S3Store(bucketSettings(s3));
    const request = { limits: { intervalMs: 100 }, buffer: { memoryBytes: 100_000 } };
    await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store, request });
    await capture.reached('chain');
    const stored = await putOne(etcd, '/a', 'before');
    await capture.stored(stored);

    await s3.kill();
    let last = stored;
    while (capture.status().spilledBytes < 500_000) {
      last = await putOne(etcd, '/a', Buffer.from(noise.bytes(30_000)).toString('latin1'));
    }
    await capture.reached('trouble');
    const away = capture.status();
    assert.equal(away.storedRevision, stored);
    assert.match(away.trouble?.message ?? '', /s3:/);
    assert.ok(
      away.lagRevisions > 5 && away.waitingSegments > 0,
      `${away.lagRevisions} ${away.waitingSegments}`,
    );

    await s3.restart();
    await capture.stored(last);
    await eventually('all is well', () => capture.status().trouble === undefined);
    assert.deepEqual([capture.status().spilledBytes, capture.status().waitingSegments], [0, 0]);
    assert.deepEqual([capture.status().gaps, capture.status().bases], [0, 1]);
    assert.equal((await assertCaptured(capture.repository, etcd)).revision, last);
  },
);

test(
  'a store that is away until nothing more can wait costs a gap only if etcd compacts meanwhile',
  ETCD,
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    let away = false;
    const store = new FaultInjectingStore(new LocalStore(folder.join('store')), () =>
      away ? { kind: 'refused' } : undefined,
    );
    const request = { limits: { intervalMs: 50 }, buffer: { memoryBytes: 50_000, spillBytes: 100_000 } };
    await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store, request });
    await capture.reached('chain');
    const fill = async (): Promise<void> => {
      const overflows = capture.of('given-up').length + 1;
      while (capture.of('given-up').length < overflows) {
        await putOne(etcd, '/a', Buffer.from(noise.bytes(20_000)).toString('latin1'));
      }
    };
    await capture.stored(await putOne(etcd, '/a', 'before'));
    away = true;
    await fill();
    away = false;
    const kept = await putOne(etcd, '/b', 'etcd has it all');
    await capture.stored(kept);
    assert.deepEqual([capture.status().gaps, capture.status().bases], [0, 1]);

    away = true;
    await fill();
    await callGateway(etcd, 'kv/compaction', { revision: String((await etcd.status()).revision) });
    away = false;
    await capture.reached('base', 2);
    const last = await putOne(etcd, '/c', 'behind the gap');
    await capture.stored(last);
    assert.deepEqual([capture.status().gaps, capture.status().bases], [1, 2]);
    const { segments, revision } = await assertCaptured(capture.repository, etcd);
    assert.equal(revision, last);
    assert.ok((segments[0]?.head.gap?.after ?? 0n) >= kept);
  },
);

test('lost replies, and clocks that step back, change nothing in what is stored', ETCD, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const store = new FaultInjectingStore(new LocalStore(folder.join('store')), (operation, call, name) =>
    operation === 'putIfAbsent' && name.includes('/segments/') && call % 2 === 0
      ? { kind: 'reply-lost' }
      : undefined,
  );
  let stepsBack = 0;
  const clock = (): Date => new Date(Date.now() - 60_000 * stepsBack++);
  await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store, settings: { clock } });
  await capture.reached('chain');
  let last = 0n;
  for (let round = 0; round < 6; round++) {
    last = await putOne(etcd, '/a', `${round}`);
    await capture.stored(last);
  }
  const { segments } = await assertCaptured(capture.repository, etcd);
  assert.ok(segments.length >= 6);
  const times = segments.flatMap(({ head }) => head.times.map(([, at]) => at.getTime()));
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
    'time never goes back',
  );
  assert.equal(segments.at(-1)?.head.to, last);
});

test(
  'what can never be stored costs bases further and further apart, not one after the other',
  ETCD,
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    const asked: number[] = [];
    const baseDelayMs = (basesInARow: number): number => {
      asked.push(basesInARow);
      return 0;
    };
    const store = new WithoutSegments(folder.join('store'));
    await using capture = await startLiveCapture({
      endpoints: [etcd.endpoint],
      store,
      tools: { baseDelayMs },
    });
    for (let round = 1; round <= 3; round++) {
      await capture.reached('base', round);
      await putOne(etcd, '/a', `round ${round}`);
      await capture.reached('given-up', round);
    }
    assert.deepEqual(asked.slice(0, 3), [0, 1, 2]);
    assert.match(capture.of('given-up')[0]?.error.message ?? '', /refuses/);
  },
);

class WithoutSegments extends LocalStore {
  override putIfAbsent(
    ...[name, ...rest]: Parameters<LocalStore['putIfAbsent']>
  ): ReturnType<LocalStore['putIfAbsent']> {
    if (!name.endsWith('.segment')) return super.putIfAbsent(name, ...rest);
    return Promise.reject(new GuardianError('encryption.refused', 'the key service refuses'));
  }
}
