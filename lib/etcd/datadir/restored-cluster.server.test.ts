import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { allKeys, fillWithHistory, liveHash, putOne } from '../../../test/harness/etcd-content.ts';
import { base64, callGateway } from '../../../test/harness/etcd-gateway.ts';
import { etcdctl, etcdutl } from '../../../test/harness/etcd-programs.ts';
import { type Etcd, startEtcd, startMember } from '../../../test/harness/etcd.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { freePort } from '../../../test/harness/free-port.ts';
import { startRestored } from '../../../test/harness/restored-etcd.ts';
import { sample, testRandom } from '../../../test/harness/sampling.ts';
import { temporaryFolder, type TemporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { DEFAULT_ETCD, ETCD_VERSIONS, type EtcdVersion, needs } from '../../../test/harness/tools.ts';
import { editBoltFile } from '../bolt/editor.ts';
import { batchOf, keyOf, valueOf } from '../bolt/entry-batch.ts';
import { openBoltFile } from '../bolt/reader.ts';
import { writeBoltFile } from '../bolt/writer.ts';
import { writeMemberDir } from './member-dir.ts';

for (const version of sample(ETCD_VERSIONS, 1, 'cluster')) {
  test(
    `three members of etcd ${version} run on their dirs, through kills and restarts`,
    needs(`etcd ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      const file = await snapshotOf(folder, version);
      await using restored = await startRestored({ version, file, size: 3, bumpTo: 50_000n });
      const [first, second, third] = restored.members as [Etcd, Etcd, Etcd];
      const hashes = await Promise.all(restored.members.map(liveHash));
      assert.equal(hashes[0]?.revision, 50_000n);
      for (const hash of hashes) assert.deepEqual(hash, hashes[0]);
      for (const member of restored.members) {
        const { clusterId } = await member.status();
        assert.equal(clusterId, restored.dirs[0]?.clusterId);
      }
      for (const victim of restored.members) {
        await victim.kill();
        const other = victim === first ? second : first;
        await eventually('a write without the one that was killed', () =>
          putOne(other, `/without/${victim.name}`, 'x'),
        );
        await victim.restart();
      }
      const end = await putOne(third, '/last', 'x');
      assert.equal(end, 50_004n);
      const ends = await Promise.all(
        restored.members.map((member) =>
          eventually('it has caught up', async () => {
            const hash = await liveHash(member);
            return hash.revision === end && hash;
          }),
        ),
      );
      for (const hash of ends) assert.deepEqual(hash, ends[0]);
    },
  );
}

test(
  'log and raft snapshot are byte for byte those of etcdutl, the database holds the same',
  needs(`etcdutl 3.5.35`),
  async () => {
    await using folder = await temporaryFolder();
    const file = await snapshotOf(folder, '3.5.35');
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

for (const version of sample(ETCD_VERSIONS, 1, 'bare')) {
  test(
    `etcd ${version} starts from files with empty or missing buckets`,
    needs(`etcd ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      for (const names of [[], ['key'], ['key', 'meta'], ['meta']]) {
        for (const bumpTo of [undefined, 700n]) {
          const file = folder.join('bare.db');
          await writeBoltFile(
            file,
            names.map((name) => ({ name, entries: [] })),
          );
          await using restored = await startRestored({
            version,
            file,
            ...(bumpTo === undefined ? {} : { bumpTo }),
          });
          assert.equal(await putOne(restored.member, '/a', 'b'), (bumpTo ?? 1n) + 1n);
          await restored.member.restart();
          assert.equal(await restored.member.etcdctl('get', '/a', '--print-value-only'), 'b\n');
        }
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
      const file = await snapshotOf(folder, to);
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

for (const version of sample(ETCD_VERSIONS, 1, 'learner')) {
  test(`a restored cluster of etcd ${version} takes in a learner`, needs(`etcd ${version}`), async () => {
    await using folder = await temporaryFolder();
    const file = await snapshotOf(folder, version);
    const args = ['--strict-reconfig-check=false'];
    await using restored = await startRestored({ version, file, bumpTo: 9000n, args });
    const [clientPort, peerPort] = [await freePort(), await freePort()];
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    await restored.member.etcdctl('member', 'add', 'learner', '--learner', `--peer-urls=${peerUrl}`);
    await using learner = await startMember(
      {
        version,
        name: 'learner',
        initialCluster: `${restored.member.name}=${restored.member.peerUrl},learner=${peerUrl}`,
        initialClusterState: 'existing',
      },
      clientPort,
      peerPort,
    );
    await eventually('the learner is promoted', async () => {
      const members = await callGateway(restored.member, 'cluster/member/list', {});
      const [id] = (members.members as { ID: string; isLearner?: boolean }[]).filter(
        (each) => each.isLearner === true,
      );
      if (id === undefined) return true;
      await callGateway(restored.member, 'cluster/member/promote', { ID: id.ID });
      return false;
    });
    assert.equal(await putOne(learner, '/a', 'b'), 9001n);
    await eventually('both hold the same', async () => {
      assert.deepEqual(await liveHash(learner), await liveHash(restored.member));
      assert.deepEqual(await allKeys(learner), await allKeys(restored.member));
      return true;
    });
  });
}

async function snapshotOf(folder: TemporaryFolder, version: EtcdVersion): Promise<string> {
  const file = folder.join(`${version}.db`);
  await using etcd = await startEtcd({ version });
  await fillWithHistory(etcd, testRandom(`cluster ${version}`), 30);
  await callGateway(etcd, 'kv/put', { key: base64('/x'), value: base64('x'.repeat(500_000)) });
  await etcd.etcdctl('snapshot', 'save', file);
  return file;
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
