import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  allKeys,
  liveHash,
  putOnce,
  putOne,
  snapshotWithHistory,
} from '../../../test/harness/etcd-content.ts';
import { callGateway } from '../../../test/harness/etcd-gateway.ts';
import { type Etcd, startMember } from '../../../test/harness/etcd.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { freePort } from '../../../test/harness/free-port.ts';
import { startRestored } from '../../../test/harness/restored-etcd.ts';
import { sample } from '../../../test/harness/sampling.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, needs } from '../../../test/harness/tools.ts';

for (const version of sample(ETCD_VERSIONS, 1, 'cluster')) {
  test(
    `three members of etcd ${version} run on their dirs, through kills and restarts`,
    needs(`etcd ${version}`),
    async () => {
      await using folder = await temporaryFolder();
      const file = await snapshotWithHistory(folder, version);
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
        const { memberId } = await victim.status();
        await victim.kill();
        const other = victim === first ? second : first;
        // A write without a leader would wait for seven seconds.
        await eventually('the rest has a leader', async () => {
          const { leader } = await other.status();
          return leader !== 0n && leader !== memberId;
        });
        await putOnce(other, `/without/${victim.name}`, 'x');
        await victim.restart();
      }
      await putOnce(third, '/last', 'x');
      const end = 50_004n;
      const ends = await Promise.all(
        restored.members.map((member) =>
          eventually('it has caught up', async () => {
            const hash = await liveHash(member);
            assert.ok(hash.revision <= end);
            return hash.revision === end && hash;
          }),
        ),
      );
      for (const hash of ends) assert.deepEqual(hash, ends[0]);
    },
  );
}

// A learner of etcd's takes seven seconds to start after a restore, whoever made it.
for (const version of sample(ETCD_VERSIONS, 0, 'learner')) {
  test(`a restored cluster of etcd ${version} takes in a learner`, needs(`etcd ${version}`), async () => {
    await using folder = await temporaryFolder();
    const file = await snapshotWithHistory(folder, version);
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
