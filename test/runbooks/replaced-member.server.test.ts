import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import { startMember } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { operator } from './runbooks.ts';

test(
  'a member whose data must not be used any more is replaced by an empty one',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using cluster = await startEtcdCluster();
    const [well, , lost] = cluster.members;
    assert.ok(well !== undefined && lost !== undefined);
    await eventually('it takes a write', () => well.etcdctl('put', '/a', 'as it was'));
    const person = await operator(folder, [
      ['https://127.0.0.1:2379', well.endpoint],
      [/^export ETCDCTL_C.*\n/gm, ''],
      ['https://10.0.0.1:2380', lost.peerUrl],
      ['cp1', lost.name],
      ['/var/lib/etcd', lost.dataDir],
    ]);
    await lost.stop();
    const memberId = await eventually('the members are known', async () => {
      const listed = await well.etcdctl('member', 'list');
      return listed
        .split('\n')
        .find((line) => line.includes(lost.name))
        ?.split(',')[0];
    });
    assert.match(await person.next(10, [['MEMBER', memberId]]), /removed from cluster/);
    await person.next(10);
    assert.ok(!existsSync(lost.dataDir) && existsSync(`${lost.dataDir}.before`));
    const added = await person.next(10);
    person.done(10);

    const [, initialCluster = ''] = /ETCD_INITIAL_CLUSTER="([^"]+)"/.exec(added) ?? [];
    const [client = 0, peer = 0] = [lost.endpoint, lost.peerUrl].map((url) => Number(new URL(url).port));
    const options = { name: lost.name, dataDir: lost.dataDir, initialCluster };
    await using again = await startMember({ ...options, initialClusterState: 'existing' }, client, peer);
    const caughtUp = await eventually('it has the data', async () => {
      const found = await again.etcdctl('get', '/a', '--print-value-only', '--consistency=s');
      return found.trim() === '' ? undefined : found.trim();
    });
    assert.equal(caughtUp, 'as it was');
  },
);
