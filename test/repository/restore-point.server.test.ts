import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { test } from 'node:test';
import { backupFacts } from '../../lib/backup/backup-facts.ts';
import { keyOf, valueOf } from '../../lib/etcd/bolt/entry-batch.ts';
import { openBoltFile } from '../../lib/etcd/bolt/reader.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import type { SnapshotVerdict } from '../../lib/etcd/mvcc/snapshot-verdict.ts';
import { verifySnapshotFile } from '../../lib/etcd/mvcc/verify-snapshot-file.ts';
import type { StoredSegment } from '../../lib/repository/chain.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type { Repository, SoundBackup } from '../../lib/repository/repository.ts';
import { writeRestorePoint } from '../../lib/repository/write-restore-point.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { allKeys, type LiveHash, liveHash } from '../harness/etcd-content.ts';
import { base64, callGateway, type GatewayAnswer } from '../harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { RandomWorkload } from '../harness/random-workload.ts';
import { RecordedEtcd } from '../harness/recorded-etcd.ts';
import { repositorySettings, testKeys } from '../harness/repository.ts';
import { startRestored } from '../harness/restored-etcd.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { snapshotStatus } from '../harness/snapshot-judges.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../harness/tools.ts';

for (const version of sample(ETCD_VERSIONS, 2, 'restore points')) {
  test(
    `what is merged for a revision is what etcd ${version} itself held then`,
    needs(`etcd ${version}`),
    async () => {
      const random = testRandom(`restore points ${version}`);
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version });
      await using client = connectEtcd({ endpoints: [etcd.endpoint] });
      const repository = await openRepository(
        repositorySettings(new LocalStore(folder.join('store')), testKeys()),
      );
      await using recorded = new RecordedEtcd(client, 2n);
      const workload = new RandomWorkload(etcd, random);

      // 1. A base somewhere in the middle, and segments behind it, one sealed with each look at the member.
      await workload.run(random.integer(5, 60));
      const backup = await backUp(
        repository,
        etcd,
        client,
        await lookAt(etcd, workload, folder.join('base.db')),
      );
      let tail = repository.segments.tailOf(backup);
      const looks: Look[] = [];
      for (let round = 0; round < 4; round++) {
        await workload.run(random.integer(10, 50));
        if (round === 1) await workload.expireLeases();
        if (round === 2) recorded.proofs.push(...(await workload.compact(client)));
        const look = await lookAt(etcd, workload, folder.join(`live-${round}.db`));
        looks.push(look);
        tail = await recorded.seal(repository.segments, tail, endsUpTo(look.revision, tail.revision, random));
      }
      const segments = await segmentsOf(repository, backup);

      for (const look of looks) {
        // 2. Compacted as the member was: byte for byte its bucket.
        const { compactRevision, revision } = look.verdict;
        const path = folder.join('merged.db');
        const compactAt =
          compactRevision > backup.manifest.snapshot.compactRevision ? compactRevision : undefined;
        const sources = { repository, log: repository.segments };
        const parts = { base: backup, segments, revision: look.revision };
        const { verdict } = await writeRestorePoint(sources, parts, path, { compactAt });
        assert.deepEqual(
          await keyBucket(path, version, compactRevision),
          await keyBucket(look.path, version, compactRevision),
        );
        assert.equal(verdict.hashKV, look.verdict.hashKV);
        assert.deepEqual([verdict.revision, verdict.compactRevision], [revision, compactRevision]);
        assert.equal(verdict.orphanLeases, 0);
        for (const judge of ETCD_VERSIONS) {
          const status = await snapshotStatus(judge, path);
          assert.deepEqual([status.hash, BigInt(status.revision)], [verdict.hash, verdict.revision]);
        }
      }

      // 3. With all its history, at any revision: its hash is what the member answers.
      const last = looks.at(-1);
      assert.ok(last !== undefined);
      const first = backup.manifest.snapshot.currentRevision;
      const anywhere = Array.from({ length: 3 }, () =>
        BigInt(random.integer(Number(first), Number(last.revision) + 1)),
      );
      for (const revision of anywhere) {
        // What is compacted nobody can ask for; 3.4 refuses the compaction's own revision, too.
        if (revision <= last.verdict.compactRevision) continue;
        const path = folder.join('any.db');
        const { verdict } = await writeRestorePoint(
          { repository, log: repository.segments },
          { base: backup, segments, revision },
          path,
        );
        const live = await client.hashKV(etcd.endpoint, revision);
        const { compactRevision } = live;
        assert.equal(verdict.hashKVAt({ revision, compactRevision }), live.hash, `at ${revision}`);
      }

      // 4. Served: what was alive is, also what a short lease kept alive, and it is leased still.
      const path = folder.join('served.db');
      const { verdict, matched } = await writeRestorePoint(
        { repository, log: repository.segments },
        { base: backup, segments, revision: last.revision },
        path,
      );
      // The hash that the member kept from its compaction; 3.4 keeps none.
      assert.equal(matched.length, version === '3.4.23' ? 0 : 1);
      const { keys, hash, lease } = await servedWith(workload.keptAlive, { version, file: path });
      assert.equal(lease.grantedTTL, String(RandomWorkload.KEPT_ALIVE_TTL));
      assert.deepEqual(lease.keys, [base64('/kept-alive')]);
      assert.deepEqual(keys, last.keys);
      assert.deepEqual([hash.revision, hash.hash], [last.revision, verdict.hashKV]);
    },
  );
}

interface Look {
  readonly path: string;
  readonly verdict: SnapshotVerdict;
  readonly revision: bigint;
  /** All that were alive, as the gateway shows them. */
  readonly keys: unknown;
}

/** A snapshot of the member, at a moment when nothing expires. */
async function lookAt(etcd: Etcd, workload: RandomWorkload, path: string): Promise<Look> {
  return eventually('a snapshot between two revisions', async () => {
    await workload.keep();
    await etcd.etcdctl('snapshot', 'save', path);
    const verdict = await verifySnapshotFile(path, { trailer: 'required' });
    const keys = await allKeys(etcd);
    const { revision } = await liveHash(etcd);
    const isWhole = !verdict.compacting && holds(keys, '/kept-alive');
    return isWhole && revision === verdict.currentRevision && { path, verdict, revision, keys };
  });
}

interface Served {
  readonly keys: unknown;
  readonly hash: LiveHash;
  readonly lease: GatewayAnswer;
}

/** Nobody keeps the lease alive any more: where the machine stood still until it was over, it is served once more. */
async function servedWith(leaseId: string, from: { version: EtcdVersion; file: string }): Promise<Served> {
  for (let tries = 1; ; tries++) {
    await using restored = await startRestored(from);
    const [keys, hash] = [await allKeys(restored.member), await liveHash(restored.member)];
    const lease = await callGateway(restored.member, 'lease/timetolive', { ID: leaseId, keys: true });
    if (lease.grantedTTL !== undefined || tries === 5) return { keys, hash, lease };
  }
}

function holds(keys: unknown, key: string): boolean {
  return (keys as readonly { key: string }[]).some((one) => one.key === base64(key));
}

async function backUp(
  repository: Repository,
  etcd: Etcd,
  client: EtcdClient,
  { path, verdict }: Look,
): Promise<SoundBackup> {
  const status = await client.status(etcd.endpoint);
  const { clusterId } = status.header;
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: clusterId,
    clusterRevision: verdict.currentRevision,
  });
  await writer.putBase(createReadStream(path));
  const proof = { kind: 'none', reason: 'a test' } as const;
  const facts = backupFacts({ status, memberName: etcd.name }, verdict, verdict.sampleLiveEntries(8), proof);
  return writer.commit(facts, verdict);
}

/** Where segments up to a revision end. */
function endsUpTo(revision: bigint, from: bigint, random: ReturnType<typeof testRandom>): bigint[] {
  if (revision <= from) return [];
  const ends = Array.from({ length: 2 }, () =>
    BigInt(random.integer(Number(from) + 1, Number(revision) + 1)),
  );
  return [...new Set([...ends, revision])].sort((a, b) => Number(a - b));
}

async function segmentsOf(repository: Repository, backup: SoundBackup): Promise<StoredSegment[]> {
  const segments: StoredSegment[] = [];
  for await (const segment of repository.segments.list(backup)) {
    assert.ok(segment.state === 'sound');
    segments.push(segment);
  }
  return segments;
}

/** A deletion at the very revision of a compaction stays with newer versions of etcd, and with us; 3.4.23 drops it. */
async function keyBucket(path: string, version: string, compactRevision: bigint): Promise<string[]> {
  await using file = await openBoltFile(path);
  const entries: string[] = [];
  for await (const batch of file.entries('key')) {
    for (let index = 0; index < batch.count; index++) {
      const key = keyOf(batch, index);
      const atCompaction = key.length === 18 && key.readBigInt64BE() === compactRevision;
      if (version === '3.4.23' && atCompaction) continue;
      entries.push(`${key.toString('hex')} ${valueOf(batch, index).toString('hex')}`);
    }
  }
  return entries;
}
