import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { fillWithNoise } from '../../test/harness/etcd-content.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { testRandom, WHOLE_MATRIX } from '../../test/harness/sampling.ts';
import type { ServerProcess } from '../../test/harness/server-process.ts';
import { needs } from '../../test/harness/tools.ts';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { type BackupScene, startBackupScene } from './backup-scene.fixture.ts';
import { ownBytes, startControlPlaneProcess } from './control-plane-process.fixture.ts';

const KILLS = WHOLE_MATRIX ? 100 : 2;
const AT_ONCE = WHOLE_MATRIX ? 100 : 6;
const LEASES = {
  resource: { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' },
  namespace: NAMESPACE,
};
const LEASE = { ...LEASES, name: 'etcdguardian-controlplane' };

describe('a control plane that ends', needs(...KUBE_PROGRAMS, 'versitygw'), () => {
  let scene: BackupScene;
  const stack = new AsyncDisposableStack();

  before(async () => {
    scene = stack.use(await startBackupScene());
    await fillWithNoise(scene.etcd, 1, testRandom('a control plane that ends'));
  });
  after(() => stack.disposeAsync());

  const start = (): Promise<ServerProcess> => startControlPlaneProcess(scene);
  const leading = (child: ServerProcess): Promise<string> => child.line(/this replica leads/);

  test('by force, at any moment, leaves each backup to be ended once by the next one', async () => {
    const random = testRandom('kills');
    let child = await start();
    try {
      await leading(child);
      for (let kill = 1; kill <= KILLS; kill += 1) {
        const name = `killed-${kill}`;
        const afterMs = Math.floor(random.next() * 900);
        await scene.create(name, { storageLocation: scene.location(name) });
        await delay(afterMs);
        await child.kill();
        child = await start();
        const { status, metadata } = await scene.ended(name);
        const told = `killed after ${afterMs} ms: ${status?.message ?? ''}`;
        assert.equal(status?.phase, 'Completed', told);
        assert.deepEqual(await scene.manifests(name), [metadata.uid], told);
      }
    } finally {
      await child.kill();
    }
  });

  test('by losing the Lease writes nothing any more, and the next one goes on', async () => {
    const { kube } = scene.installation;
    const flags = { leaseDurationMs: '2s', renewDeadlineMs: '1500ms', retryPeriodMs: '200ms' };
    scene.s3.pause();
    await using old = scene.start({ flags });
    await scene.create('handed-over', { storageLocation: scene.location('handed-over') });
    await eventually('it runs', async () => (await scene.get('handed-over')).status?.step === 'Preparing');
    // Its holder renews it meanwhile.
    await eventually('the Lease is taken', async () => {
      const lease = await kube.get<KubeObject & { spec: object }>(LEASE);
      const renewTime = new Date(Date.now() + 1_000).toISOString().replace('Z', '000Z');
      const spec = { ...lease.spec, holderIdentity: 'somebody-else', renewTime };
      return await kube.replace(LEASE, { ...lease, spec });
    });
    await eventually('the old one has stopped', () =>
      old.lines.some(({ message }) => message.startsWith('somebody-else')),
    );
    const { metadata: before } = await scene.get('handed-over');
    scene.s3.resume();
    const { status, metadata } = await scene.ended('handed-over');
    assert.notEqual(metadata.resourceVersion, before.resourceVersion);
    assert.equal(status?.phase, 'Completed', status?.message ?? '');
    // More, where a loaded machine cost it the Lease once more.
    assert.ok((status.source?.attempts ?? 0) >= 2);
    assert.deepEqual(await scene.manifests('handed-over'), [metadata.uid]);
  });

  test('is none while many backups wait: all complete, within its memory', async (context) => {
    const child = await start();
    try {
      await leading(child);
      context.diagnostic(`idle ${Math.round((await ownBytes(child.pid)) / 2 ** 20)} MiB`);
      const names = Array.from({ length: AT_ONCE }, (_, index) => `many-${index}`);
      const storageLocation = scene.location('many');
      await Promise.all(names.map((name) => scene.create(name, { storageLocation })));
      let most = 0;
      const watching = new AbortController();
      const watch = (async () => {
        while (!watching.signal.aborted) {
          most = Math.max(most, await ownBytes(child.pid));
          await delay(50);
        }
      })();
      for (const name of names) {
        const { status } = await scene.ended(name);
        assert.equal(status?.phase, 'Completed', `${name}: ${status?.message ?? ''}`);
      }
      watching.abort();
      await watch;
      context.diagnostic(`${AT_ONCE} backups at once: ${Math.round(most / 2 ** 20)} MiB of its own at most`);
      assert.ok(most < 256 * 2 ** 20, `${most} bytes`);
    } finally {
      await child.kill();
    }
  });
});
