import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { allKeys, fillWithHistory, liveHash, putOne } from '../../../test/harness/etcd-content.ts';
import { base64, streamGateway } from '../../../test/harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { startRestored } from '../../../test/harness/restored-etcd.ts';
import { sample, testRandom } from '../../../test/harness/sampling.ts';
import { temporaryFolder, type TemporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../../../test/harness/tools.ts';
import { verifySnapshotFile } from '../mvcc/verify-snapshot-file.ts';
import { writeMemberDir } from './member-dir.ts';

const BUMPED = 1_000_000_000n;

/** Onto the same version, one up, one down. */
const MOVES = ETCD_VERSIONS.flatMap((from, index) =>
  ETCD_VERSIONS.slice(Math.max(0, index - 1), index + 2).map((to) => [from, to] as const),
);

for (const [from, to] of sample(MOVES, 3, 'moves')) {
  test(
    `a snapshot of etcd ${from} is served by ${to}, with and without a bump`,
    needs(`etcd ${from}`, `etcd ${to}`),
    async () => {
      await using folder = await temporaryFolder();
      const file = folder.join('snapshot.db');
      await using source = await startEtcd({ version: from });
      await fillWithHistory(source, testRandom(`fill ${from} ${to}`));
      await source.etcdctl('snapshot', 'save', file);
      const [keys, hash] = [await allKeys(source), await liveHash(source)];
      const versionEdits = isDown(from, to)
        ? { dropStorageVersion: true, clusterVersion: `${minor(to)}.0` }
        : {};

      {
        await using restored = await startRestored({ version: to, file, versionEdits });
        assert.equal(restored.dirs[0]?.revision, hash.revision);
        assert.deepEqual(await allKeys(restored.member), keys);
        assert.deepEqual(await liveHash(restored.member), hash);
        assert.deepEqual(
          await allKeys(restored.member, hash.compactRevision),
          await allKeys(source, hash.compactRevision),
        );
        await assertWritable(restored.member, hash.revision);
      }
      {
        await using restored = await startRestored({ version: to, file, versionEdits, bumpTo: BUMPED });
        assert.deepEqual(await allKeys(restored.member), keys);
        const bumped = await liveHash(restored.member);
        assert.equal(bumped.revision, BUMPED);
        assert.equal(bumped.compactRevision, BUMPED);
        assert.equal(bumped.hash, await offlineHash(folder, file));
        await assertWatchIsCompacted(restored.member, hash.revision, BUMPED);
        await assertWritable(restored.member, BUMPED);
      }
    },
  );
}

/** HashKV of a bumped data dir, known before any etcd starts from it; the cluster makes no difference. */
async function offlineHash(folder: TemporaryFolder, file: string): Promise<number> {
  const dataDir = folder.join('offline');
  const cluster = { token: 't', members: [{ name: 'm', peerUrls: ['http://127.0.0.1:1'] }] };
  await writeMemberDir({ dataDir, snapshot: { file }, name: 'm', cluster, bumpTo: BUMPED });
  const verdict = await verifySnapshotFile(join(dataDir, 'member/snap/db'), { trailer: 'optional' });
  assert.deepEqual(verdict.problems, []);
  assert.equal(verdict.currentRevision, BUMPED);
  return verdict.hashKV;
}

/** The next write gets the next revision, and is there after a kill and a restart. */
async function assertWritable(member: Etcd, revision: bigint): Promise<void> {
  assert.equal(await putOne(member, '/new', 'value'), revision + 1n);
  await member.kill();
  await member.restart();
  assert.equal((await member.etcdctl('get', '/new', '--print-value-only')).trim(), 'value');
  assert.equal(await putOne(member, '/new', 'again'), revision + 2n);
}

async function assertWatchIsCompacted(member: Etcd, from: bigint, compacted: bigint): Promise<void> {
  const request = {
    create_request: { key: base64('/'), range_end: base64('0'), start_revision: String(from) },
  };
  for await (const answer of streamGateway(member, 'watch', request)) {
    if (answer.canceled !== true) continue;
    assert.equal(answer.compact_revision, String(compacted));
    return;
  }
  assert.fail('the watch was not cancelled');
}

function isDown(from: EtcdVersion, to: EtcdVersion): boolean {
  return ETCD_VERSIONS.indexOf(to) < ETCD_VERSIONS.indexOf(from);
}

function minor(version: EtcdVersion): string {
  return version.split('.').slice(0, 2).join('.');
}
