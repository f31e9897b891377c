import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { writeMemberDir } from '../../lib/etcd/datadir/member-dir.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { startLiveCapture } from '../harness/live-capture.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { startToxiproxy } from '../harness/toxiproxy.ts';

test(
  'a cluster that is restored underneath begins a timeline of its own, however much it looks like before',
  needs('etcd 3.6.16', 'etcdctl 3.6.16', 'toxiproxy-server'),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd({ initialClusterToken: TOKEN });
    await using toxiproxy = await startToxiproxy();
    const proxy = await toxiproxy.createProxy(etcd.address);
    const store = new LocalStore(folder.join('store'));
    await using capture = await startLiveCapture({ endpoints: [`http://${proxy.address}`], store });
    await capture.reached('chain');
    await putOne(etcd, '/a', '1');
    const saved = folder.join('saved.db');
    await etcd.etcdctl('snapshot', 'save', saved);
    await putOne(etcd, '/a', '2');
    await capture.stored(await putOne(etcd, '/a', '3'));

    // To a lower revision.
    await putBack(etcd, saved, TOKEN);
    await capture.reached('base', 2);
    assert.equal(capture.of('base')[1]?.timelineReason, 'revision-went-back');
    await putOne(etcd, '/b', 'on the second timeline');
    const end = await putOne(etcd, '/b', 'again');
    await capture.stored(end);

    // To a lower revision, and on beyond it while nobody looks: the same cluster id, a higher revision, other content.
    await proxy.down();
    await putBack(etcd, saved, TOKEN);
    for (let last = 0n; last <= end; last = await putOne(etcd, '/c', 'instead'));
    await proxy.up();
    await capture.reached('base', 3);
    assert.match(capture.of('chain').at(-1)?.gap?.reason ?? '', /holds something else at revision/);
    await capture.stored(await putOne(etcd, '/c', 'behind that'));

    // As another etcd cluster.
    await putBack(etcd, saved, 'another-token');
    await capture.reached('base', 4);
    assert.equal(capture.of('base')[3]?.timelineReason, 'cluster-id-changed');
    const last = await putOne(etcd, '/d', 'on the last timeline');
    await capture.stored(last);
    const { revision, segments } = await assertCaptured(capture.repository, etcd);
    assert.equal(revision, last);
    assert.match(segments[0]?.head.gap?.reason ?? '', /belongs to etcd cluster/);
  },
);

test(
  'a base behind which nothing happened is none for another cluster',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd({ initialClusterToken: TOKEN });
    await putOne(etcd, '/a', 'in the snapshot');
    const saved = folder.join('saved.db');
    await etcd.etcdctl('snapshot', 'save', saved);
    await putOne(etcd, '/a', 'in the base only');
    const store = new LocalStore(folder.join('store'));
    await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store });
    await capture.reached('chain');

    await putBack(etcd, saved, 'another-token');
    await putOne(etcd, '/b', 'in the place of the change that the base holds');
    const last = await putOne(etcd, '/b', 'behind it');
    await capture.stored(last);
    assert.deepEqual(
      capture.of('base').map(({ timelineReason }) => timelineReason),
      ['first', 'cluster-id-changed'],
    );
    assert.equal((await assertCaptured(capture.repository, etcd)).revision, last);
  },
);

test(
  'a cluster put back to before the deletions that were captured last is recognised by these',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd({ initialClusterToken: TOKEN });
    const saved = folder.join('saved.db');
    const scene = { endpoints: [etcd.endpoint], store: new LocalStore(folder.join('store')) };
    let end: bigint;
    {
      await using capture = await startLiveCapture(scene);
      await capture.reached('chain');
      await capture.stored(await putOne(etcd, '/ns/a', '1'));
      await etcd.etcdctl('snapshot', 'save', saved);
      await etcd.etcdctl('del', '/ns/', '--prefix');
      end = (await etcd.status()).revision;
      await capture.stored(end);
      await capture.stop();
    }
    await putBack(etcd, saved, TOKEN);
    let last = 0n;
    while (last <= end) last = await putOne(etcd, '/ns/c', 'instead');
    await using capture = await startLiveCapture(scene);
    await capture.reached('base');
    assert.equal(capture.of('base')[0]?.timelineReason, 'history-differs');
    await capture.stored(last);
    await assertCaptured(capture.repository, etcd);
  },
);

const TOKEN = 'etcd-cluster';

/** Restores an etcd from a snapshot, where it is. */
async function putBack(etcd: Etcd, file: string, token: string): Promise<void> {
  await etcd.kill();
  await rm(etcd.dataDir, { recursive: true });
  const { name, dataDir, peerUrl } = etcd;
  const cluster = { token, members: [{ name, peerUrls: [peerUrl] }] };
  await writeMemberDir({ dataDir, snapshot: { file }, name, cluster });
  await etcd.restart();
}
