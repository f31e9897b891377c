import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base64, callGateway } from '../../test/harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../../test/harness/etcd.ts';
import { repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import { sharedBucket } from '../../test/harness/shared-bucket.ts';
import { sample, testRandom } from '../../test/harness/sampling.ts';
import {
  CAPTURE,
  entriesOfSegment,
  type HexEntry,
  listed,
  readEntries,
  segmentDraft,
} from '../../test/harness/segments.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, needs } from '../../test/harness/tools.ts';
import { openBoltFile } from '../etcd/bolt/reader.ts';
import { keyOf, valueOf } from '../etcd/bolt/entry-batch.ts';
import { connectEtcd } from '../etcd/client/connect-etcd.ts';
import { encodeTombstone } from '../etcd/mvcc/key-value.ts';
import { ChainTakenError, type ChainTail, type StoredSegment } from './chain.ts';
import { tailBehind } from './chain-tails.ts';
import { openRepository } from './open-repository.ts';
import { type SegmentBuilder, startSegment } from './start-segment.ts';

const { openPrefix } = sharedBucket();

test('on S3, of many writers at once exactly one goes on with a chain, and all can go on behind it', async () => {
  const store = openPrefix();
  const settings = repositorySettings(store, testKeys());
  const { backup } = await repositoryWithBackup(settings);
  const writers = await Promise.all(
    Array.from({ length: 6 }, async (_, index) => {
      const { segments: log } = await openRepository(settings);
      return { log, tail: log.tailOf(backup), writer: { ...CAPTURE, id: BigInt(index) } };
    }),
  );
  for (let round = 0; round < 5; round++) {
    const results = await Promise.all(
      writers.map(async ({ log, tail, writer }): Promise<{ won: boolean; tail: ChainTail }> => {
        const to = tail.revision + 1n + writer.id;
        const draft = await segmentDraft({ from: tail.revision, to, writer });
        try {
          return { won: true, tail: await log.append(tail, draft) };
        } catch (error) {
          assert.ok(error instanceof ChainTakenError && error.winner !== undefined, String(error));
          return { won: false, tail: tailBehind(error.winner) };
        }
      }),
    );
    assert.equal(results.filter(({ won }) => won).length, 1);
    const [winner] = results.filter(({ won }) => won);
    for (const [index, { tail }] of results.entries()) {
      assert.deepEqual(tail, winner?.tail);
      const writer = writers[index];
      assert.ok(writer !== undefined);
      writer.tail = tail;
    }
  }
  const [{ log, tail }] = writers as [(typeof writers)[number]];
  const segments = await soundSegments(log.list(backup));
  assert.equal(segments.length, 5);
  assert.deepEqual(await readEntries(log, segments), entriesOfSegment(21n, tail.revision));
  assert.deepEqual(await log.tails('prod'), [tail]);
  const later = await soundSegments(log.list(backup, { after: segments[2]?.head.to ?? 0n }));
  assert.deepEqual(later, segments.slice(3));
});

for (const version of sample(ETCD_VERSIONS, 2, 'segments of a watch')) {
  test(
    `what a watch of etcd ${version} tells comes back from segments as bucket key holds it`,
    needs(`etcd ${version}`, `etcdctl ${version}`),
    async () => {
      await using etcd = await startEtcd({ version });
      await using folder = await temporaryFolder();
      const settings = repositorySettings(openPrefix(), testKeys());
      const { repository, backup } = await repositoryWithBackup(settings);
      const log = repository.segments;
      // A cluster from its first revision on: the base has nothing to do with it.
      let tail: ChainTail = { ...log.tailOf(backup), revision: 1n };

      const revision = await changeAlot(etcd);
      const clock = (): Date => new Date();
      const start = (): SegmentBuilder => startSegment({ from: tail.revision, writer: CAPTURE, clock });
      const seal = async (builder: SegmentBuilder): Promise<SegmentBuilder> => {
        const extras = { leases: { complete: false, granted: [], gone: [] }, proofs: [] };
        tail = await log.append(tail, await builder.finish(extras));
        return start();
      };
      await using client = connectEtcd({ endpoints: [etcd.endpoint] });
      let builder = start();
      const watch = client.watch({ key: '\0', rangeEnd: '\0', startRevision: 2n, reassemble: false });
      for await (const { kind, events, fragment } of watch) {
        for (const { type, kv, encoded } of events) {
          if (builder.plainSize > 300_000 && kv.modRevision > builder.to + 1n) {
            builder.endRevision();
            builder = await seal(builder);
          }
          const tombstone = type === 'delete';
          builder.add(kv.modRevision, tombstone ? encodeTombstone(kv.key) : encoded, tombstone);
        }
        if (kind === 'events' && !fragment) builder.endRevision();
        if (builder.to === revision) break;
      }
      await seal(builder);

      const segments = await soundSegments(log.list(backup));
      assert.ok(segments.length > 3, `${segments.length} segments`);
      const snapshot = await bucketKey(etcd, folder);
      assert.ok(snapshot.length > 1500 && snapshot.some(([key]) => key.length === 36));
      // One by one: a difference of thousands of entries would take minutes to print.
      const entries = await readEntries(log, segments);
      for (const [index, entry] of snapshot.entries())
        assert.deepEqual(entries[index], entry, `entry ${index}`);
      assert.equal(entries.length, snapshot.length);
    },
  );
}

/** Transactions, deletions, leases that come and go, large values; resolves to the last revision. */
async function changeAlot(etcd: Etcd): Promise<bigint> {
  const random = testRandom(`segments of ${etcd.version}`);
  for (let change = 0; change < 200; change++) {
    const key = base64(`/registry/pods/n${random.integer(0, 30)}`);
    if (random.integer(0, 5) === 0) await callGateway(etcd, 'kv/deleterange', { key });
    else {
      const value = base64(random.bytes(random.pick([0, 10, 1500, 4096, 30_000])));
      await callGateway(etcd, 'kv/put', { key, value });
    }
  }
  const { ID: lease } = await callGateway(etcd, 'lease/grant', { TTL: 900 });
  for (let round = 0; round < 8; round++) {
    const success = Array.from({ length: 120 }, (_, index) => ({
      request_put: {
        key: base64(`/many/${round}/${index}`),
        value: base64(`value ${index}`.repeat(20)),
        lease,
      },
    }));
    await callGateway(etcd, 'kv/txn', { success });
  }
  await callGateway(etcd, 'kv/put', {
    key: base64('/large'),
    value: base64(Buffer.alloc(1_400_000, 'large')),
  });
  await callGateway(etcd, 'kv/deleterange', { key: base64('/many/3/'), range_end: base64('/many/6/') });
  await callGateway(etcd, 'lease/revoke', { ID: lease });
  const last = await callGateway(etcd, 'kv/put', { key: base64('/last'), value: base64('') });
  return BigInt(last.header?.revision ?? 0);
}

async function bucketKey(etcd: Etcd, folder: TemporaryFolder): Promise<HexEntry[]> {
  const path = folder.join('snapshot.db');
  await etcd.etcdctl('snapshot', 'save', path);
  await using file = await openBoltFile(path);
  const entries: HexEntry[] = [];
  for await (const batch of file.entries('key')) {
    for (let index = 0; index < batch.count; index++) {
      entries.push([keyOf(batch, index).toString('hex'), valueOf(batch, index).toString('hex')]);
    }
  }
  return entries;
}

async function soundSegments(list: Parameters<typeof listed>[0]): Promise<StoredSegment[]> {
  return (await listed(list)).map((segment) => {
    assert.ok(segment.state === 'sound');
    const { name, size, sha256, head } = segment;
    return { name, size, sha256, head };
  });
}
