import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { findMetas, META_SEARCH_SIZE, type Meta } from '../../etcd/bolt/meta.ts';
import { hasCode } from '../../guardian-error.ts';
import { allKeys, fillWithHistory, putOne } from '../../../test/harness/etcd-content.ts';
import { etcdctl, etcdutl } from '../../../test/harness/etcd-programs.ts';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { keepWriting } from '../../../test/harness/keep-writing.ts';
import { sample, testRandom } from '../../../test/harness/sampling.ts';
import { assertStatus } from '../../../test/harness/snapshot-judges.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs } from '../../../test/harness/tools.ts';
import { databaseOf, rescueSnapshot } from './rescue-snapshot.ts';
import { type CopyTools, DamagedDatabaseError } from './sound-copy.ts';

const TOOLS: CopyTools = { onProgress: () => undefined, signal: new AbortController().signal };

for (const version of sample(ETCD_VERSIONS, 1, 'rescued versions')) {
  test(
    `a member that was killed while it was written to gives a snapshot that etcdutl restores (etcd ${version})`,
    needs(`etcd ${version}`, `etcdctl ${version}`, 'etcdutl 3.5.35', 'etcdutl 3.6.16', 'etcdutl 3.7.3'),
    async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version });
      await fillWithHistory(etcd, testRandom(`rescued ${version}`));
      await using writers = await keepWriting([etcd.endpoint], { writers: 8, tolerant: true });
      const written = writers.done() + 200;
      while (writers.done() < written) await new Promise((resolve) => setImmediate(resolve));
      const before = await etcd.status();
      await etcd.kill();
      await writers.stop();

      const out = folder.join('rescued.db');
      const { verdict, behind, warnings } = await rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS);
      assert.deepEqual(warnings, []);
      await assertStatus(out, verdict);
      assert.ok(behind !== undefined && behind.broken === undefined, JSON.stringify(behind?.broken));
      // Everything that was ever answered is in the one or in the other.
      assert.ok(verdict.currentRevision + BigInt(behind.writes) >= before.revision);
      assert.equal(behind.clusterId, before.clusterId);
      assert.equal(behind.memberId, before.memberId);

      const restored = folder.join('restored');
      await restoreByEtcdutl(version, out, restored);
      await using again = await startEtcd({ version, dataDir: restored });
      assert.equal((await again.status()).revision, verdict.currentRevision);
    },
  );
}

async function restoreByEtcdutl(version: EtcdVersion, file: string, dataDir: string): Promise<void> {
  const program = version.startsWith('3.4.') ? etcdctl : etcdutl;
  await program(version, 'snapshot', 'restore', file, `--data-dir=${dataDir}`);
}

const DEFAULT = needs('etcd 3.6.16', 'etcdctl 3.6.16');

async function deadEtcd(label: string): Promise<Etcd> {
  const etcd = await startEtcd();
  await fillWithHistory(etcd, testRandom(label));
  return etcd;
}

test(
  'a member that was stopped in order has nothing in its log that is not in its database',
  DEFAULT,
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await deadEtcd('stopped in order');
    const keys = await allKeys(etcd);
    const { revision } = await etcd.status();
    await etcd.stop();
    const { verdict, behind } = await rescueSnapshot({ dataDir: etcd.dataDir }, folder.join('out.db'), TOOLS);
    assert.equal(verdict.currentRevision, revision);
    assert.equal(verdict.totalKeys, (keys as unknown[]).length);
    assert.deepEqual([behind?.writes, behind?.broken], [0, undefined]);
  },
);

test('what is only in the log is counted', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  // Its database is written every hour: what comes behind the first commit is in the log alone.
  await using etcd = await startEtcd({
    args: ['--backend-batch-interval=1h', '--backend-batch-limit=1000000'],
  });
  for (let at = 0; at < 5; at++) await putOne(etcd, `/registry/a${at}`, 'x');
  const { revision } = await etcd.status();
  await etcd.kill();
  const { verdict, behind } = await rescueSnapshot({ dataDir: etcd.dataDir }, folder.join('out.db'), TOOLS);
  assert.equal(verdict.currentRevision + BigInt(behind?.writes ?? 0), revision);
  assert.ok((behind?.writes ?? 0) >= 5);
});

test('a running etcd is no dead one', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await deadEtcd('running');
  const out = folder.join('out.db');
  await assert.rejects(rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS), (error) =>
    hasCode(error, 'rescue.in-use'),
  );
  assert.equal(existsSync(out), false);
});

test('nothing is overwritten, and a folder without a database is named', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await deadEtcd('kept');
  await etcd.stop();
  const out = folder.join('out.db');
  await rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS);
  const first = await readFile(out);
  await assert.rejects(rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS), (error) =>
    hasCode(error, 'rescue.exists'),
  );
  assert.ok(first.equals(await readFile(out)));
  const nothing = rescueSnapshot({ dataDir: folder.path }, folder.join('other.db'), TOOLS);
  await assert.rejects(nothing, (error) => hasCode(error, 'rescue.no-database'));
});

test('where the newest root leads to damage, the one before it is taken, and said so', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await deadEtcd('older root');
  // Not killed: in the middle of a transaction it may have begun to reuse the pages of the root before the newest.
  await etcd.stop();
  const db = databaseOf({ dataDir: etcd.dataDir });
  const [newest] = await roots(db);
  assert.ok(newest !== undefined);
  await overwrite(db, newest.rootPage * newest.pageSize, Buffer.alloc(64, 0xff));
  const out = folder.join('out.db');
  const { verdict, warnings } = await rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS);
  assert.match(warnings.join('\n'), /newest root .* damaged/);
  await assertStatus(out, verdict, ['3.6.16']);
});

test('a torn root is passed over', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await deadEtcd('torn root');
  await etcd.stop();
  const db = databaseOf({ dataDir: etcd.dataDir });
  const [newest, older] = await roots(db);
  assert.ok(newest !== undefined && older !== undefined);
  await overwrite(db, Number(newest.txid % 2n) * newest.pageSize + 60, Buffer.alloc(8, 0xff));
  const out = folder.join('out.db');
  const { verdict, warnings } = await rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS);
  assert.deepEqual(warnings, []);
  await assertStatus(out, verdict, ['3.6.16']);
});

test('a damaged page makes no snapshot; what can and can’t be read is told', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await deadEtcd('damaged');
  const { revision } = await etcd.status();
  await etcd.stop();
  const db = databaseOf({ dataDir: etcd.dataDir });
  // Every leaf and branch but the first pages, so that neither root is spared.
  const [{ pageSize, pageCount } = { pageSize: 0, pageCount: 0 }] = await roots(db);
  for (let page = 4; page < pageCount; page += 3)
    await overwrite(db, page * pageSize, Buffer.alloc(40, 0xee));
  const out = folder.join('out.db');
  const failed = await rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failed instanceof DamagedDatabaseError, String(failed));
  const { unreadable, unreadableCount, newestRevision } = failed.readability;
  assert.ok(unreadableCount > 0 && unreadable.length > 0);
  assert.ok(newestRevision <= revision);
  assert.equal(existsSync(out), false);
  assert.equal(existsSync(`${out}.part`), false);
});

test('a file that was cut off is told as such', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await deadEtcd('cut off');
  await etcd.stop();
  const db = databaseOf({ dataDir: etcd.dataDir });
  const file = await open(db, 'r+');
  const pages = (await roots(db)).map(({ pageCount }) => pageCount);
  const [{ pageSize } = { pageSize: 0 }] = await roots(db);
  await file.truncate((Math.min(...pages) - 1) * pageSize);
  await file.close();
  const out = folder.join('out.db');
  await assert.rejects(rescueSnapshot({ dataDir: etcd.dataDir }, out, TOOLS), DamagedDatabaseError);
  assert.equal(existsSync(out), false);
  assert.ok((await stat(db)).size > 0);
});

/** The newest first. */
async function roots(db: string): Promise<Meta[]> {
  const found = findMetas((await readFile(db)).subarray(0, META_SEARCH_SIZE));
  assert.ok(found !== undefined && found !== 'big-endian');
  return found.metas
    .flatMap((meta) => (meta === undefined ? [] : [meta]))
    .sort((a, b) => (a.txid > b.txid ? -1 : 1));
}

async function overwrite(path: string, at: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, at);
  await file.close();
}
