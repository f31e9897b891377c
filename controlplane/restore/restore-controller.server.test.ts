import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { needs } from '../../test/harness/tools.ts';
import { type ClusterScene, startClusterScene } from './cluster-scene.fixture.ts';

describe('an EtcdRestore of the whole cluster', needs(...KUBE_PROGRAMS, 'versitygw'), () => {
  let scene: ClusterScene;
  before(async () => {
    scene = await startClusterScene();
  });
  after(() => scene[Symbol.asyncDispose]());

  test('that is a dry run tells its plan and changes nothing', async () => {
    await scene.setConfig('wanted', 'precious');
    const backup = await scene.backUp('first');
    assert.equal(backup.status?.phase, 'Completed', backup.status?.message ?? '');
    await scene.createRestore('dry', { backupName: 'first', dryRun: true });
    const { status } = await scene.restoreEnded('dry');
    assert.equal(status?.phase, 'Completed', status?.message ?? '');
    assert.match(
      status.message ?? '',
      /dry run, nothing was changed.*node-1: member member-1 in .*stops .*kube-apiserver\.yaml, then etcd/,
    );
  });

  test('is refused where its plan has a problem, before anything is stopped', async () => {
    const { header } = await scene.node.client.status(scene.node.endpoint);
    await scene.createRestore('elsewhere', {
      backupName: 'first',
      etcdCluster: { dataDir: '/somewhere/else' },
    });
    await scene.createRestore('hooked', {
      backupName: 'first',
      preRestoreHooks: [{ name: 'x', type: 'Exec', exec: { command: ['true'] } }],
    });
    await scene.createRestore('unknown', { backupName: 'no-such-backup' });
    const reasons = [];
    for (const name of ['elsewhere', 'hooked', 'unknown'])
      reasons.push((await scene.restoreEnded(name)).status?.reason);
    assert.deepEqual(reasons, ['restore.other-cluster', 'restore.hooks-off', 'restore.no-backup']);
    const now = await scene.node.client.status(scene.node.endpoint);
    assert.equal(now.header.clusterId, header.clusterId);
  });

  test('brings a deleted object back, and tells how it went though the restored etcd never heard of it', async () => {
    await scene.setConfig('wanted', 'changed');
    await scene.setConfig('newer', 'not in the backup');
    const before = await scene.node.client.status(scene.node.endpoint);
    await scene.createRestore('back', { backupName: 'first' });
    const { status, metadata } = await scene.restoreEnded('back');
    assert.equal(status?.phase, 'Completed', `${status?.message}\n${JSON.stringify(status, null, 1)}`);
    assert.equal(await scene.config('wanted'), 'precious');
    assert.equal(await scene.config('newer'), undefined);
    const after = await scene.node.client.status(scene.node.endpoint);
    assert.ok(after.header.revision > before.header.revision + 999_000_000n);
    assert.notEqual(after.header.clusterId, before.header.clusterId);
    assert.equal(status.members?.[0]?.state, 'Resumed');
    assert.ok(Number(metadata.resourceVersion) > 1_000_000_000);
  });
});
