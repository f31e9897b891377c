import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcdCluster } from './etcd-cluster.ts';
import { eventually } from './eventually.ts';
import { sample } from './sampling.ts';
import { ETCD_VERSIONS, needs } from './tools.ts';

for (const version of sample(ETCD_VERSIONS, 2, 'clusters of the harness')) {
  test(
    `a cluster of etcd ${version} outlives its leader, takes it back and takes in a learner`,
    needs(`etcd ${version}`, `etcdctl ${version}`),
    async () => {
      await using cluster = await startEtcdCluster({ version });
      assert.equal(cluster.endpoints.length, 3);
      const first = await cluster.leader();
      await eventually('it takes a write', () => first.etcdctl('put', 'a', 'b'));
      await first.kill();
      const second = await cluster.leader();
      assert.notEqual(second.name, first.name);
      // Leaders change whenever the machine stands still.
      await eventually('who follows is not the leader', async () => {
        const [follower, leader] = [await cluster.follower(), await cluster.leader()];
        return follower !== leader;
      });
      await eventually('it takes a write', () => second.etcdctl('put', 'a', 'c'));
      await first.restart();
      assert.equal(await first.etcdctl('get', 'a', '--print-value-only'), 'c\n');

      const learner = await cluster.addLearner();
      assert.equal(cluster.members.at(-1), learner);
      assert.match(await second.etcdctl('member', 'list', '--write-out=fields'), /"IsLearner" : true/);
      const status = await learner.status();
      assert.notEqual(status.leader, status.memberId);
    },
  );
}
