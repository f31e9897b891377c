import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fillWithHistory } from '../../../test/harness/etcd-content.ts';
import { base64, callGateway } from '../../../test/harness/etcd-gateway.ts';
import { etcdutl } from '../../../test/harness/etcd-programs.ts';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { sample, testRandom } from '../../../test/harness/sampling.ts';
import { assertHashKV, assertLiveHashKV, assertStatus } from '../../../test/harness/snapshot-judges.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../../../test/harness/tools.ts';
import type { SnapshotVerdict } from './snapshot-verdict.ts';
import { verifySnapshotFile } from './verify-snapshot-file.ts';

const ALL_PROGRAMS = ETCD_VERSIONS.flatMap((version) => [`etcd ${version}`, `etcdctl ${version}`]).concat(
  ...['3.5.35', '3.6.16', '3.7.3'].map((version) => `etcdutl ${version}`),
);

async function savedVerdict(etcd: Etcd, file: string): Promise<SnapshotVerdict> {
  await etcd.etcdctl('snapshot', 'save', file);
  const verdict = await verifySnapshotFile(file, { trailer: 'required' });
  assert.deepEqual(verdict.problems, []);
  return verdict;
}

for (const version of ETCD_VERSIONS) {
  test(
    `a history of etcd ${version}: figures as etcdutl's and the member's, before and after defrag`,
    needs(...ALL_PROGRAMS),
    async () => {
      const random = testRandom(`figures ${version}`);
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version });
      await fillWithHistory(etcd, random, 80);
      const first = await savedVerdict(etcd, folder.join('first.db'));
      assert.deepEqual(first.warnings, []);
      assert.equal(first.leases, 3);
      await assertStatus(folder.join('first.db'), first);
      await assertHashKV(folder.join('first.db'), first, random);
      await assertLiveHashKV(etcd, first, random);
      await etcd.etcdctl('defrag');
      await fillWithHistory(etcd, random, 20);
      const second = await savedVerdict(etcd, folder.join('second.db'));
      await assertStatus(folder.join('second.db'), second, ['3.5.35']);
      await assertLiveHashKV(etcd, second, random);
      for (const anchor of first.sampleLiveEntries(20)) {
        const found = second.entryAt(anchor);
        if (found !== undefined)
          assert.deepEqual([found.checksum, found.size], [anchor.checksum, anchor.size]);
      }
    },
  );
}

const MODERN = ['3.5.35', '3.6.16', '3.7.3'] as const;

for (const version of sample(ETCD_VERSIONS, 1)) {
  test(
    `the file of a killed member of ${version} is verified without a trailer`,
    needs(...ALL_PROGRAMS),
    async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version });
      await fillWithHistory(etcd, testRandom('killed'), 60);
      // What the member has not committed to its file yet is in its WAL; this commits.
      const saved = await savedVerdict(etcd, folder.join('saved.db'));
      await etcd.kill();
      const file = `${etcd.dataDir}/member/snap/db`;
      const verdict = await verifySnapshotFile(file, { trailer: 'optional' });
      assert.deepEqual(verdict.problems, []);
      assert.equal(verdict.trailer, 'missing');
      assert.ok(verdict.size >= verdict.totalSize);
      assert.deepEqual([verdict.revision, verdict.hashKV], [saved.revision, saved.hashKV]);
    },
  );
}

for (const version of sample(ETCD_VERSIONS, 1)) {
  test(
    `authentication, an alarm and large values of ${version} are told`,
    needs(...ALL_PROGRAMS),
    async () => {
      await using folder = await temporaryFolder();
      const args = ['--quota-backend-bytes=20000000'];
      await using etcd = await startEtcd({ version, rootPassword: 'secret', args });
      for (let n = 0; n < 40; n++)
        await etcd.etcdctl('user', 'add', `user-${n}-${'x'.repeat(40)}`, '--no-password');
      const token = String(
        (await callGateway(etcd, 'auth/authenticate', { name: 'root', password: 'secret' })).token,
      );
      const value = base64(testRandom('large').bytes(1_400_000));
      const puts = async (): Promise<void> => {
        for (let n = 0; n < 40; n++)
          await callGateway(etcd, 'kv/put', { key: base64(`large-${n % 5}`), value }, token);
      };
      await assert.rejects(puts(), /database space exceeded/);
      const file = folder.join('s.db');
      const verdict = await savedVerdict(etcd, file);
      assert.equal(verdict.authEnabled, true);
      assert.deepEqual(
        verdict.alarms.map(({ alarm }) => alarm),
        ['NOSPACE'],
      );
      assert.equal(verdict.alarms[0]?.memberId, verdict.members[0]?.id);
      assert.deepEqual(
        verdict.members.map(({ name, peerURLs }) => [name, peerURLs]),
        [['default', [etcd.peerUrl]]],
      );
      await assertStatus(file, verdict);
      await assertLiveHashKV(etcd, verdict, testRandom('auth'));
    },
  );
}

for (const version of sample(MODERN, 1)) {
  test(
    `after a restore of ${version} with a bump, and after etcd ran on it`,
    needs(...ALL_PROGRAMS),
    async () => {
      const random = testRandom('bump');
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version });
      await fillWithHistory(etcd, random, 60);
      const before = await savedVerdict(etcd, folder.join('before.db'));
      const restored = folder.join('restored');
      const bump = ['--bump-revision=1000000000', '--mark-compacted'];
      const initial = [
        '--name=default',
        `--initial-cluster=default=${etcd.peerUrl}`,
        `--initial-advertise-peer-urls=${etcd.peerUrl}`,
      ];
      await etcdutl(
        version,
        'snapshot',
        'restore',
        folder.join('before.db'),
        `--data-dir=${restored}`,
        ...bump,
        ...initial,
      );
      const file = folder.join('copy.db');
      await copyFile(`${restored}/member/snap/db`, file);
      const bumped = await verifySnapshotFile(file, { trailer: 'optional' });
      assert.deepEqual(bumped.problems, []);
      assert.equal(bumped.compacting, true);
      assert.equal(bumped.currentRevision, before.revision + 1_000_000_000n);
      assert.equal(bumped.totalKeys, before.totalKeys + 1);
      await assertStatus(file, bumped);
      await assertHashKV(file, bumped, random, { count: 0 });
      await using again = await startEtcd({
        version,
        dataDir: restored,
        initialCluster: `default=${etcd.peerUrl}`,
      });
      for (let n = 0; n < 5; n++) {
        await callGateway(again, 'kv/put', { key: base64(`after-${n}`), value: base64('x') });
      }
      const after = await savedVerdict(again, folder.join('after.db'));
      assert.ok(after.revision > bumped.currentRevision);
      await assertStatus(folder.join('after.db'), after);
      await assertLiveHashKV(again, after, random);
    },
  );
}

for (const version of sample(MODERN, 1)) {
  test(`a snapshot of ${version} amid a compaction`, needs(...ALL_PROGRAMS), async () => {
    const random = testRandom('half');
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd({ version, args: slowCompaction(version) });
    await fillWithHistory(etcd, random, 5);
    for (let n = 0; n < 300; n++)
      await callGateway(etcd, 'kv/put', { key: base64(`k${n % 10}`), value: base64(`${n}`) });
    const { revision } = await etcd.status();
    await callGateway(etcd, 'kv/compaction', { revision: String(revision - 10n) });
    const verdict = await savedVerdict(etcd, folder.join('half.db'));
    assert.equal(verdict.compacting, true);
    assert.equal(verdict.compactRevision, revision - 10n);
    await assertStatus(folder.join('half.db'), verdict);
    await assertLiveHashKV(etcd, verdict, random);
  });
}

for (const version of sample(ETCD_VERSIONS, 1)) {
  test(`HashKV of ${version} when nothing is left alive`, needs(...ALL_PROGRAMS), async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd({ version });
    const put = async (key: string): Promise<unknown> =>
      callGateway(etcd, 'kv/put', { key: base64(key), value: base64('v') });
    const remove = async (key: string): Promise<unknown> =>
      callGateway(etcd, 'kv/deleterange', { key: base64(key) });
    for (const key of ['a', 'b', 'a']) await put(key);
    await remove('a');
    await callGateway(etcd, 'kv/compaction', { revision: 4, physical: true });
    await remove('b');
    const verdict = await savedVerdict(etcd, folder.join('s.db'));
    assert.equal(verdict.totalKeys, 0);
    await assertLiveHashKV(etcd, verdict, testRandom('nothing'));
    await assertHashKV(folder.join('s.db'), verdict, testRandom('nothing'), {
      versions: ['3.6.16', '3.7.3'],
    });
    await callGateway(etcd, 'kv/compaction', { revision: 6, physical: true });
    await assertLiveHashKV(etcd, verdict, testRandom('nothing'), 0);
  });
}

/** So slow that a snapshot finds it under way. */
function slowCompaction(version: EtcdVersion): string[] {
  const prefix = version === '3.5.35' ? '--experimental-' : '--';
  return [`${prefix}compaction-batch-limit=10`, `${prefix}compaction-sleep-interval=2s`];
}
