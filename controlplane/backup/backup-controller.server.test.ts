import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../../test/harness/etcd-content.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { testRandom } from '../../test/harness/sampling.ts';
import { needs } from '../../test/harness/tools.ts';
import { type BackupScene, type Replica, startBackupScene } from './backup-scene.fixture.ts';

describe('an EtcdBackup', needs(...KUBE_PROGRAMS, 'versitygw'), () => {
  let scene: BackupScene;
  let replica: Replica;
  const stack = new AsyncDisposableStack();

  before(async () => {
    scene = stack.use(await startBackupScene());
    await fillWithNoise(scene.etcd, 1, testRandom('an EtcdBackup'));
    replica = stack.use(scene.start());
  });
  after(() => stack.disposeAsync());

  test('of an etcd without an agent completes, and its status tells everything', async () => {
    await scene.create('once');
    const { status } = await scene.ended('once');
    assert.equal(status?.phase, 'Completed', replica.lines.map(({ message }) => message).join('\n'));
  });
});
