import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { startEtcd } from '../harness/etcd.ts';
import { keepWriting } from '../harness/keep-writing.ts';
import { startLiveCapture } from '../harness/live-capture.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

test(
  'a base taken while writes go on is joined exactly',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async (context) => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    await putOne(etcd, '/before', 'x');
    await using writers = await keepWriting([etcd.endpoint]);
    const begun = performance.now();
    await using capture = await startLiveCapture({
      endpoints: [etcd.endpoint],
      store: new LocalStore(folder.join('store')),
    });
    await capture.reached('stored', 5);
    await writers.stop();
    context.diagnostic(`${Math.round((writers.done() * 1000) / (performance.now() - begun))} writes/s`);
    await capture.stored((await etcd.status()).revision);
    const { revision } = await assertCaptured(capture.repository, etcd);
    assert.equal(revision, (await etcd.status()).revision);
    assert.equal(capture.of('base').length, 1);
  },
);
