import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { startEtcdCluster } from '../harness/etcd-cluster.ts';
import { callGateway } from '../harness/etcd-gateway.ts';
import { startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { keepWriting } from '../harness/keep-writing.ts';
import { startLiveCapture } from '../harness/live-capture.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import { startToxiproxy } from '../harness/toxiproxy.ts';

const ETCD = needs('etcd 3.6.16', 'etcdctl 3.6.16');

test(
  'nothing is missed when leaders change, members die and the whole cluster is restarted',
  ETCD,
  async () => {
    await using folder = await temporaryFolder();
    await using cluster = await startEtcdCluster();
    const store = new LocalStore(folder.join('store'));
    await using capture = await startLiveCapture({ endpoints: cluster.endpoints, store });
    await capture.reached('chain');
    await using writers = await keepWriting(cluster.endpoints, { writers: 6, restMs: 2, tolerant: true });
    const more = async (): Promise<void> => {
      const seen = capture.status().storedRevision ?? 0n;
      await capture.stored(seen + 50n);
    };
    await more();

    // On a loaded machine who leads may change by itself before it is told to.
    await eventually('the leader hands over', async () => {
      const first = await cluster.leader();
      const next = cluster.members.find((member) => member !== first);
      return first.etcdctl('move-leader', (await (next ?? first).status()).memberId.toString(16));
    });
    await more();

    const watched = await eventually('a member is watched', () =>
      cluster.members.find(({ endpoint }) => endpoint === capture.status().endpoint),
    );
    await watched.kill();
    await more();
    await eventually('another member is watched', () => {
      const { endpoint } = capture.status();
      return endpoint !== undefined && endpoint !== watched.endpoint;
    });
    await watched.restart();

    await (await cluster.follower()).etcdctl('defrag');
    await more();

    await writers.stop();
    await Promise.all(cluster.members.map((member) => member.kill()));
    await eventually('the loss is told', () => capture.status().trouble !== undefined);
    await Promise.all(cluster.members.map((member) => member.restart()));
    const leader = await cluster.leader();
    const last = await eventually('a put is taken', () => putOne(leader, '/after', 'the restart'));
    await capture.stored(last);
    await eventually('all is well', () => capture.status().trouble === undefined);
    assert.deepEqual([capture.status().gaps, capture.status().bases], [0, 1]);
    assert.ok(capture.status().connections > 2);
    assert.equal((await assertCaptured(capture.repository, leader)).revision, last);
  },
);

test(
  'a cut network is no gap while etcd keeps the history, and one when it has compacted it',
  needs('etcd 3.6.16', 'etcdctl 3.6.16', 'toxiproxy-server'),
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    await using toxiproxy = await startToxiproxy();
    const proxy = await toxiproxy.createProxy(etcd.address);
    const store = new LocalStore(folder.join('store'));
    await using capture = await startLiveCapture({ endpoints: [`http://${proxy.address}`], store });
    await capture.reached('chain');
    await capture.stored(await putOne(etcd, '/a', 'before'));

    await proxy.down();
    await capture.reached('watch-trouble');
    await putOne(etcd, '/a', 'unseen');
    const kept = await putOne(etcd, '/a', 'unseen, but kept');
    await proxy.up();
    await capture.stored(kept);
    assert.equal(capture.status().gaps, 0);
    const { repository } = capture;
    const first = (await repository.find('prod', 'latest')).backup;
    await assertCaptured(repository, etcd, first);

    await proxy.down();
    const lost = await putOne(etcd, '/b', 'lost');
    await callGateway(etcd, 'kv/compaction', { revision: String(await putOne(etcd, '/b', 'kept')) });
    await proxy.up();
    await capture.reached('base', 2);
    const last = await putOne(etcd, '/c', 'behind the gap');
    await capture.stored(last);
    assert.deepEqual([capture.status().gaps, capture.status().bases], [1, 2]);
    const { segments, revision } = await assertCaptured(repository, etcd);
    assert.equal(revision, last);
    assert.equal(segments[0]?.head.gap?.after, lost - 1n);
    assert.match(segments[0].head.gap.reason, /compacted/);
  },
);
