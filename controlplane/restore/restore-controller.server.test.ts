import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { untilJournalSays } from '../../agent/restore/restore-scene.fixture.ts';
import { hasCode } from '../../lib/guardian-error.ts';
import { ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { startReflector } from '../../lib/kubernetes/reflector.ts';
import { DEADLINE_MS, eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { needs } from '../../test/harness/tools.ts';
import { CONFIG_MAPS, SECRETS } from '../core-resources.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { type ClusterScene, startClusterScene, USERS } from './cluster-scene.fixture.ts';

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
    const otherKey = { key: Buffer.alloc(32, 8).toString('base64') };
    await scene.kube.create(SECRETS, NAMESPACE, { metadata: { name: 'other-key' }, data: otherKey });
    const { snapshotLocation, storageLocation } = await scene.backUpApart();
    const hook = { name: 'x', type: 'Exec', exec: { command: ['true'] } };
    const cases = {
      'restore.other-cluster': { backupName: 'first', etcdCluster: { dataDir: '/somewhere/else' } },
      'restore.hooks-off': { backupName: 'first', preRestoreHooks: [hook] },
      'restore.no-backup': { backupName: 'no-such-backup' },
      'signature.untrusted': {
        ...{ snapshotLocation, storageLocation },
        encryption: { enabled: true, encryptionSecret: 'other-key' },
      },
      'controlplane.secret-missing': {
        ...{ snapshotLocation, storageLocation: { ...storageLocation, credentialsSecret: 'nowhere' } },
      },
      'point.not-captured': { backupName: 'first', restoreMode: 'PointInTime', targetRevision: 999_999 },
    };
    const names = Object.keys(cases).map((_code, at) => `refused-${at}`);
    for (const [at, spec] of Object.values(cases).entries()) await scene.createRestore(`refused-${at}`, spec);
    const ended = await Promise.all(names.map((name) => scene.restoreEnded(name)));
    assert.deepEqual(
      ended.map(({ status }) => status?.reason),
      Object.keys(cases),
      JSON.stringify(ended.map(({ status }) => status?.message)),
    );
    const now = await scene.node.client.status(scene.node.endpoint);
    assert.equal(now.header.clusterId, header.clusterId);
  });

  test('brings objects back, tells watchers, and how it went though the restored etcd never heard of it', async () => {
    await using watching = stoppedAtTheEnd();
    const seen: string[] = [];
    watching.ended = startReflector<KubeObject>({
      ...{ client: scene.kube, resource: CONFIG_MAPS, namespace: USERS, signal: watching.signal },
      onChange: (key, change) => seen.push(`${change} ${key.split('/')[1] ?? ''}`),
    }).ended;
    await scene.setConfig('wanted', 'changed');
    await scene.setConfig('newer', 'not in the backup');
    await eventually('the watcher saw it', () => seen.includes('added newer'));
    const before = await scene.node.client.status(scene.node.endpoint);
    // Both are there when a control plane comes: created later, the second might be gone with the old data unseen.
    await scene.replaceControlPlane(async () => {
      await scene.createRestore('back', { backupName: 'first' });
      await scene.createRestore('meanwhile', { backupName: 'first' });
    });
    const { status, metadata } = await scene.oneCompleted(['back', 'meanwhile']);
    assert.equal(status?.phase, 'Completed', JSON.stringify(status));
    assert.equal(await scene.config('wanted'), 'precious');
    assert.equal(await scene.config('newer'), undefined);
    const after = await scene.node.client.status(scene.node.endpoint);
    assert.ok(after.header.revision > before.header.revision + 999_000_000n);
    assert.notEqual(after.header.clusterId, before.header.clusterId);
    assert.equal(status.members?.[0]?.state, 'Resumed');
    assert.ok(Number(metadata.resourceVersion) > 1_000_000_000);
    await eventually('the watcher sees what is gone', () => seen.includes('deleted newer'));
    assert.ok(
      scene.lines.some(({ message }) => message.includes('[restore.busy]')),
      JSON.stringify(scene.lines.slice(-60)),
    );
  });

  test('goes to a revision between two backups', async () => {
    await scene.setConfig('stage', 'one');
    const { status: base } = await scene.backUp('base');
    await scene.setConfig('stage', 'two');
    const { header } = await scene.node.client.status(scene.node.endpoint);
    await scene.setConfig('stage', 'three');
    const { status } = await scene.backUp('increment', { backupMode: 'Incremental' });
    assert.equal(status?.phase, 'Completed', status?.message ?? '');
    assert.equal(base?.phase, 'Completed', base?.message ?? '');
    const targetRevision = Number(header.revision);
    await scene.createRestore('between', {
      backupName: 'increment',
      restoreMode: 'PointInTime',
      targetRevision,
    });
    const { status: ended } = await scene.restoreEnded('between');
    assert.equal(ended?.phase, 'Completed', ended?.message ?? '');
    assert.equal(ended.restoredRevision, targetRevision);
    assert.equal(await scene.config('stage'), 'two');
  });

  test('puts everything back when etcd does not come up on the restored data', async () => {
    const { status: made } = await scene.backUp('before-damage');
    assert.equal(made?.phase, 'Completed', made?.message ?? '');
    await scene.setConfig('latest', 'must survive');
    scene.startWithin(5_000);
    const { metadata } = await scene.createRestore('damaged', { backupName: 'before-damage' });
    const operation = metadata.uid ?? '';
    await untilJournalSays(scene.node.journal(operation), ['Staged', 'Quiescing']);
    await truncate(join(scene.node.dataDir, '.etcdguardian', operation, 'staged/member/snap/db'), 4096);
    const { status } = await scene.restoreEnded('damaged');
    assert.deepEqual(
      [status?.phase, status?.reason],
      ['Failed', 'restore.not-serving'],
      status?.message ?? '',
    );
    scene.startWithin(DEADLINE_MS);
    assert.equal(status?.members?.[0]?.state, 'RolledBack');
    assert.equal(status.conditions?.find(({ type }) => type === 'RolledBack')?.status, 'True');
    assert.equal(await scene.config('latest'), 'must survive');
  });

  test('that the data brings back does not start again; another leader tells how a restore went', async () => {
    const spec = await scene.backUpApart();
    // It waits, as no control plane runs; then it is in the backup.
    await scene.replaceControlPlane(async () => {
      for (const namespace of [USERS, NAMESPACE]) await scene.createRestore('stale', spec, namespace);
      Object.assign(spec, await scene.backUpApart());
      for (const namespace of [USERS, NAMESPACE])
        await scene.kube.delete({ resource: ETCD_RESTORE_RESOURCE, namespace, name: 'stale' });
    });
    const { metadata } = await scene.createRestore('revive', spec);
    await untilJournalSays(scene.node.journal(metadata.uid ?? ''), ['Swapped', 'Starting', 'Started']);
    await scene.replaceControlPlane();
    const { status } = await scene.restoreEnded('revive');
    assert.equal(status?.phase, 'Completed', status?.message ?? '');
    const { status: stale } = await scene.restoreEnded('stale', USERS);
    assert.deepEqual([stale?.phase, stale?.reason], ['Failed', 'restore.brought-back'], stale?.message ?? '');
    // Our own namespace is as it was before the restore: there it was deleted.
    const own = { resource: ETCD_RESTORE_RESOURCE, namespace: NAMESPACE, name: 'stale' };
    await assert.rejects(scene.kube.get(own), (error) => hasCode(error, 'kubernetes.not-found'));
  });
});

function stoppedAtTheEnd(): AsyncDisposable & { readonly signal: AbortSignal; ended: Promise<void> } {
  const stopping = new AbortController();
  return {
    signal: stopping.signal,
    ended: Promise.resolve(),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await this.ended;
    },
  };
}
