import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { putOne, snapshotWithHistory } from '../../../test/harness/etcd-content.ts';
import { etcdctl, etcdutl } from '../../../test/harness/etcd-programs.ts';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { startRestored } from '../../../test/harness/restored-etcd.ts';
import { sample, WHOLE_MATRIX } from '../../../test/harness/sampling.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { DEFAULT_ETCD, ETCD_VERSIONS, needs } from '../../../test/harness/tools.ts';
import { editBoltFile } from '../bolt/editor.ts';
import { batchOf, keyOf, valueOf } from '../bolt/entry-batch.ts';
import { openBoltFile } from '../bolt/reader.ts';
import { writeBoltFile } from '../bolt/writer.ts';
import { writeMemberDir } from './member-dir.ts';

test(
  'log and raft snapshot are byte for byte those of etcdutl, the database holds the same',
  needs(`etcdutl 3.5.35`),
  async () => {
    await using folder = await temporaryFolder();
    const file = await snapshotWithHistory(folder, '3.5.35');
    const members = ['m1', 'm2', 'm3'].map((name, index) => ({
      name,
      peerUrls: [`http://127.0.0.1:2938${index}`],
    }));
    const ours = folder.join('ours');
    await writeMemberDir({
      dataDir: ours,
      snapshot: { file },
      name: 'm2',
      cluster: { token: 'secret', members },
      clearAlarms: false,
    });
    const theirs = folder.join('theirs');
    await etcdutl(
      '3.5.35',
      ...['snapshot', 'restore', file, `--data-dir=${theirs}`, '--name=m2', '--initial-cluster-token=secret'],
      ...['--initial-cluster=m1=http://127.0.0.1:29380,m2=http://127.0.0.1:29381,m3=http://127.0.0.1:29382'],
      '--initial-advertise-peer-urls=http://127.0.0.1:29381',
    );
    for (const name of [
      'wal/0000000000000000-0000000000000000.wal',
      'snap/0000000000000001-0000000000000003.snap',
    ]) {
      const [a, b] = await Promise.all([ours, theirs].map((dir) => readFile(join(dir, 'member', name))));
      assert.ok(a !== undefined && b !== undefined && a.equals(b), name);
    }
    assert.deepEqual(
      await contentOf(join(ours, 'member/snap/db')),
      await contentOf(join(theirs, 'member/snap/db')),
    );
  },
);

test('a NOSPACE alarm that came with the snapshot is gone', needs(`etcd ${DEFAULT_ETCD}`), async () => {
  await using folder = await temporaryFolder();
  const file = folder.join('snapshot.db');
  {
    await using etcd = await startEtcd({ args: ['--quota-backend-bytes=100000'] });
    const value = 'x'.repeat(30_000);
    await eventually('the quota is used up', async () =>
      putOne(etcd, '/big', value).then(
        () => false,
        () => true,
      ),
    );
    await eventually('the alarm is raised', async () =>
      (await etcd.etcdctl('alarm', 'list')).includes('NOSPACE'),
    );
    await etcd.etcdctl('snapshot', 'save', file);
  }
  await using kept = await startRestored({ version: DEFAULT_ETCD, file, clearAlarms: false });
  await assert.rejects(putOne(kept.member, '/a', 'b'), /space exceeded/);
  await using cleared = await startRestored({ version: DEFAULT_ETCD, file });
  await putOne(cleared.member, '/a', 'b');
  assert.equal(await cleared.member.etcdctl('alarm', 'list'), '');
});

test(
  'a store with authentication asks for passwords after it too',
  needs(`etcd ${DEFAULT_ETCD}`),
  async () => {
    await using folder = await temporaryFolder();
    const file = folder.join('snapshot.db');
    {
      await using etcd = await startEtcd({ rootPassword: 'secret' });
      await etcd.etcdctl('put', '/a', 'kept');
      await etcd.etcdctl('snapshot', 'save', file);
    }
    await using restored = await startRestored({ version: DEFAULT_ETCD, file, bumpTo: 1000n });
    const { endpoint } = restored.member;
    await assert.rejects(restored.member.etcdctl('get', '/a'), /user name is empty/);
    const user = [`--endpoints=${endpoint}`, '--user=root:secret'];
    assert.equal(await etcdctl(DEFAULT_ETCD, ...user, 'get', '/a', '--print-value-only'), 'kept\n');
    await etcdctl(DEFAULT_ETCD, ...user, 'put', '/a', 'new');
  },
);

/** Buckets that a file has, all empty; and what it is bumped to. */
const BARE = [
  { buckets: [], bumpTo: undefined },
  { buckets: ['key', 'meta'], bumpTo: undefined },
  { buckets: ['key', 'meta'], bumpTo: 700n },
  { buckets: ['key'], bumpTo: undefined },
  { buckets: ['meta'], bumpTo: 700n },
];

for (const version of sample(ETCD_VERSIONS, 1, 'bare')) {
  test(
    `etcd ${version} starts from files with empty or missing buckets`,
    needs(`etcd ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      for (const { buckets, bumpTo } of WHOLE_MATRIX ? BARE : BARE.slice(-2)) {
        const file = folder.join('bare.db');
        const empty = buckets.map((name) => ({ name, entries: [] }));
        await writeBoltFile(file, empty);
        await using restored = await startRestored({ version, file, bumpTo });
        assert.equal(await putOne(restored.member, '/a', 'b'), (bumpTo ?? 1n) + 1n);
        await restored.member.restart();
        assert.equal(await restored.member.etcdctl('get', '/a', '--print-value-only'), 'b\n');
      }
    },
  );
}

for (const [from, to] of sample(
  [
    ['3.5', '3.4.23'],
    ['3.6', '3.5.35'],
    ['3.7', '3.6.16'],
  ] as const,
  2,
  'down',
)) {
  test(
    `a file that says it is of etcd ${from} starts in ${to} with its versions edited`,
    needs(`etcd ${to}`),
    async () => {
      await using folder = await temporaryFolder();
      const file = await snapshotWithHistory(folder, to);
      const text = (value: string): Buffer => Buffer.from(value);
      const known = from === '3.5' ? [] : [[text('storageVersion'), text(`${from}.0`)] as const];
      await editBoltFile(
        file,
        new Map([
          ['cluster', { replace: [batchOf([[text('clusterVersion'), text(`${from}.0`)]])] }],
          ['meta', { replace: [batchOf([...known, [text('term'), Buffer.alloc(8, 1)]])] }],
        ]),
      );
      const versionEdits = { dropStorageVersion: true, clusterVersion: `${to.slice(0, 3)}.0` };
      await using restored = await startRestored({ version: to, file, versionEdits, bumpTo: 9000n });
      assert.equal(await putOne(restored.member, '/a', 'b'), 9001n);
      if (from === '3.7') {
        await assert.rejects(startRestored({ version: to, file }), /invalid downgrade|not supported/);
      }
    },
  );
}

async function contentOf(path: string): Promise<Record<string, [string, string][]>> {
  await using file = await openBoltFile(path);
  const content: Record<string, [string, string][]> = {};
  for (const name of file.bucketNames) {
    const entries: [string, string][] = (content[name] = []);
    for await (const batch of file.entries(name)) {
      for (let index = 0; index < batch.count; index++) {
        entries.push([keyOf(batch, index).toString('hex'), valueOf(batch, index).toString('latin1')]);
      }
    }
  }
  return content;
}
