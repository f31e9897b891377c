import assert from 'node:assert/strict';
import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasCode } from '../../guardian-error.ts';
import { fillWithHistory, liveHash, putOne } from '../../../test/harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../../../test/harness/etcd.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { sample, testRandom } from '../../../test/harness/sampling.ts';
import { assertStatus } from '../../../test/harness/snapshot-judges.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, findTool, needs } from '../../../test/harness/tools.ts';
import { rescueSnapshot } from './rescue-snapshot.ts';
import { type LogOptions, rescueWithLog } from './rescue-with-log.ts';

const TOOLS = {
  ...{ now: new Date(), onProgress: () => undefined },
  signal: new AbortController().signal,
};

const optionsFor = (version: string): LogOptions => ({
  etcd: findTool('etcd', version) ?? 'etcd',
  startTimeoutMs: 60_000,
});

/** Its database is written every hour: what comes behind the first commit is in the log alone. */
const LAZY = ['--backend-batch-interval=1h', '--backend-batch-limit=1000000'];

const ALL = needs('etcd 3.6.16', 'etcdctl 3.6.16', 'etcdutl 3.5.35', 'etcdutl 3.6.16', 'etcdutl 3.7.3');

const KILLED = ETCD_VERSIONS.flatMap((version) =>
  [[], LAZY].map((args) => ({
    ...{ version, args },
    where: args === LAZY ? 'all of it in the log' : 'most of it in the database',
  })),
);

for (const { version, args, where } of sample(KILLED, 1, 'logs brought in')) {
  test(
    `a rescued snapshot is what the killed member itself comes up with (etcd ${version}, ${where})`,
    { ...ALL, ...needs(`etcd ${version}`, `etcdctl ${version}`) },
    async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd({ version, args });
      await fillWithHistory(etcd, testRandom(`brought in ${version} ${where}`));
      const acknowledged = await writeUntilKilled(etcd);

      const out = folder.join('rescued.db');
      const rescued = await rescueWithLog({ dataDir: etcd.dataDir }, out, optionsFor(version), TOOLS);
      assert.deepEqual(rescued.warnings, []);
      assert.equal(rescued.applied.entries, rescued.behind?.entries);
      assert.ok(rescued.verdict.currentRevision >= acknowledged);
      assert.deepEqual(
        rescued.verdict.members.map(({ name }) => name),
        [etcd.name],
      );
      assert.equal(rescued.verdict.consistentIndex, rescued.behind?.lastIndex);
      await assertStatus(out, rescued.verdict);
      assert.deepEqual(await readdir(folder.path), ['rescued.db']);

      await etcd.restart({ args: [] });
      const { currentRevision: revision, hashKV: hash, compactRevision } = rescued.verdict;
      assert.deepEqual({ revision, hash, compactRevision }, await liveHash(etcd));
    },
  );
}

/** Kills it while clients write; resolves to the newest revision that one of them was told. */
async function writeUntilKilled(etcd: Etcd): Promise<bigint> {
  let newest = 0n;
  let written = 0;
  let killed: Promise<void> | undefined;
  const write = async (writer: number): Promise<void> => {
    for (let number = 0; ; number++) {
      const revision = await putOne(etcd, `/registry/w${writer}`, `${number}`).catch(() => undefined);
      if (revision === undefined) return;
      if (revision > newest) newest = revision;
      written += 1;
      if (written === 200) killed = etcd.kill();
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
  await killed;
  assert.ok(written >= 200);
  return newest;
}

const DEFAULT = needs('etcd 3.6.16', 'etcdctl 3.6.16');
const VERSION = '3.6.16';

test('leases, users and members in the log make no difference to those of the member', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd({ rootPassword: 'secret', args: LAZY });
  const [, lease = ''] = /lease (\w+) granted/.exec(await etcd.etcdctl('lease', 'grant', '3600')) ?? [];
  await etcd.etcdctl('put', '/leased', 'x', `--lease=${lease}`);
  await etcd.etcdctl('member', 'add', 'other', '--learner', '--peer-urls=http://127.0.0.1:1');
  await etcd.etcdctl('put', '/last', 'x');
  const { revision } = await etcd.status();
  await etcd.kill();

  const member = { dataDir: etcd.dataDir };
  const plain = await rescueSnapshot(member, folder.join('plain.db'), TOOLS);
  const { verdict, applied } = await rescueWithLog(member, folder.join('out.db'), optionsFor(VERSION), TOOLS);
  assert.equal(verdict.currentRevision, revision);
  assert.equal(applied.revisions, revision - plain.verdict.currentRevision);
  assert.ok(applied.revisions >= 2n);
  assert.deepEqual([verdict.leases, verdict.orphanLeases, verdict.totalKeys], [1, 0, 2]);
  assert.equal(verdict.authEnabled, true);
  assert.deepEqual(verdict.members, plain.verdict.members);
});

const OLD = '3.4.23';

test(
  'leases that ended in the log take their keys along',
  needs(`etcd ${OLD}`, `etcdctl ${OLD}`),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd({ version: OLD, args: LAZY });
    // More than what else may be counted as a write.
    for (let number = 0; number < 5; number++) {
      const [, lease = ''] = /lease (\w+) granted/.exec(await etcd.etcdctl('lease', 'grant', '3600')) ?? [];
      await etcd.etcdctl('put', '/leased', 'x', `--lease=${lease}`);
      await etcd.etcdctl('lease', 'revoke', lease);
    }
    const { revision } = await etcd.status();
    await etcd.kill();
    const member = { dataDir: etcd.dataDir };
    const rescued = await rescueWithLog(member, folder.join('out.db'), optionsFor(OLD), TOOLS);
    assert.deepEqual([rescued.verdict.currentRevision, rescued.verdict.totalKeys], [revision, 0]);
  },
);

test('nothing is replayed where the database had everything', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  const revision = await putOne(etcd, '/registry/a', 'x');
  await etcd.stop();
  const out = folder.join('out.db');
  const { verdict, applied } = await rescueWithLog(
    { dataDir: etcd.dataDir },
    out,
    optionsFor(VERSION),
    TOOLS,
  );
  assert.deepEqual([applied.entries, verdict.currentRevision], [0, revision]);
  assert.deepEqual(await readdir(folder.path), ['out.db']);
});

test('an etcd of an older version is refused', needs('etcd 3.6.16', 'etcd 3.5.35'), async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  await eventually('the cluster has its version', async () =>
    (await (await fetch(`${etcd.endpoint}/version`)).text()).includes('"etcdcluster":"3.6'),
  );
  await etcd.stop();
  await assert.rejects(
    rescueWithLog({ dataDir: etcd.dataDir }, folder.join('out.db'), optionsFor('3.5.35'), TOOLS),
    (error) => hasCode(error, 'rescue.etcd-version'),
  );
});

test('without a program, or with a broken log, there is no snapshot', DEFAULT, async () => {
  await using folder = await temporaryFolder();
  await using etcd = await startEtcd();
  for (let at = 0; at < 5; at++) await putOne(etcd, `/registry/a${at}`, 'x');
  await etcd.stop();
  const rescue = (options: LogOptions): Promise<unknown> =>
    rescueWithLog({ dataDir: etcd.dataDir }, folder.join('out.db'), options, TOOLS);
  const none = { ...optionsFor(VERSION), etcd: folder.join('none') };
  await assert.rejects(rescue(none), (error) => hasCode(error, 'drill.no-program'));
  const wal = join(etcd.dataDir, 'member', 'wal');
  for (const name of await readdir(wal)) {
    await truncate(join(wal, name), 100);
    await truncate(join(wal, name), 64_000_000);
  }
  await assert.rejects(rescue(optionsFor(VERSION)), (error) => hasCode(error, 'rescue.log'));
  assert.deepEqual(await readdir(folder.path), []);
});
