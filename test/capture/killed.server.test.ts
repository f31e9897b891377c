import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { startEtcd } from '../harness/etcd.ts';
import { keepWriting } from '../harness/keep-writing.ts';
import { CLUSTER, startLiveCapture } from '../harness/live-capture.ts';
import { sample } from '../harness/sampling.ts';
import { startProcess } from '../harness/server-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';
import type { CaptureTask } from './capture-process.fixture.ts';

const fixture = join(import.meta.dirname, 'capture-process.fixture.ts');

/** Of a first run some 10 to look whether the store will do, as many for the base, then the segments; later ones write segments only. */
const CALLS = 24;
const MOMENTS = Array.from({ length: CALLS }, (_, index) => index + 1).flatMap((call) =>
  (['before', 'after'] as const).map((when) => ({ call, when })),
);

test(
  'a capture that is killed at any step goes on with the next start: nothing is missing, nothing twice',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async (context) => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    await using writers = await keepWriting([etcd.endpoint], { writers: 3, restMs: 5 });
    for (const moment of sample(MOMENTS, 5, 'moments of killing a capture')) {
      const task: CaptureTask = { endpoint: etcd.endpoint, folder: folder.join('store'), ...moment };
      await using killed = await startProcess(process.execPath, [fixture, JSON.stringify(task)]);
      context.diagnostic(await killed.line(/^paused/));
      await killed.kill();
    }
    const store = new LocalStore(folder.join('store'));
    await using capture = await startLiveCapture({ endpoints: [etcd.endpoint], store });
    await capture.reached('chain');
    await writers.stop();
    const { revision } = await etcd.status();
    await capture.stored(revision);
    const earliest = (await capture.repository.listBackups(CLUSTER)).at(-1);
    assert.ok(earliest?.state === 'sound');
    assert.equal((await assertCaptured(capture.repository, etcd, earliest)).revision, revision);
    assert.equal(capture.status().gaps, 0);
  },
);
