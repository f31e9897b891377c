import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { SYSTEM_NAMESPACE } from './helm.ts';
import { backupOf, createObject, endOf, restoreOf, type Story } from './story.ts';

/** etcd's whole content goes back, while pods go on running. */
export function theClusterComesBack(told: () => Story): void {
  test('the whole cluster goes back to a backup: API server away, pods running, then all as it was', async (t) => {
    const story = told();
    const { cluster } = story;
    await cluster.kubectl('create', 'configmap', 'before');
    await createObject(story, backupOf(story, SYSTEM_NAMESPACE, 'good'));
    const backup = await endOf(story, SYSTEM_NAMESPACE, 'etcdbackup/good');
    assert.equal(backup.phase, 'Completed', backup.message ?? '');
    await cluster.kubectl('delete', 'configmap', 'before');
    await cluster.kubectl('create', 'configmap', 'after');
    const pod = await podOf(cluster);

    await using visits = visit(pod.address);
    await createObject(
      story,
      restoreOf(SYSTEM_NAMESPACE, 'all', { backupName: 'good', restoreMode: 'Full' }),
    );
    const began = performance.now();
    await eventually(
      'the API server is away',
      () =>
        cluster.kubectl('get', '--raw=/readyz', '--request-timeout=1s').then(
          () => false,
          () => true,
        ),
      120_000,
    );
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdrestore/all');
    t.diagnostic(`the restore took ${((performance.now() - began) / 1000).toFixed(0)} s`);
    assert.equal(ended.phase, 'Completed', JSON.stringify(ended));

    const names = await cluster.kubectl('get', 'configmaps', '--output=name');
    assert.match(names, /configmap\/before/);
    assert.doesNotMatch(names, /configmap\/after/);
    assert.deepEqual(await podOf(cluster), pod);
    assert.equal(visits.failed, 0, `${visits.failed} of ${visits.all} requests to a pod failed meanwhile`);
  });

  test('controllers, scheduler and kubelet see the restored cluster: more pods come', async () => {
    const { cluster } = told();
    await cluster.kubectl('scale', '--namespace=shop', '--replicas=2', 'deployment/web');
    await cluster.kubectl('rollout', 'status', '--namespace=shop', '--timeout=120s', 'deployment/web');
  });
}

interface RunningPod {
  readonly name: string;
  readonly address: string;
  readonly containerId: string;
}

async function podOf(cluster: Cluster): Promise<RunningPod> {
  const fields = ['metadata.name', 'status.podIP', 'status.containerStatuses[0].containerID'];
  const output = `jsonpath=${fields.map((field) => `{.items[0].${field}}`).join(' ')}`;
  const found = await cluster.kubectl('get', 'pods', '--namespace=shop', `--output=${output}`);
  const [name = '', address = '', containerId = ''] = found.split(' ');
  return { name, address, containerId };
}

interface Visits extends AsyncDisposable {
  readonly all: number;
  readonly failed: number;
}

/** Asks the pod for a page again and again. */
function visit(address: string): Visits {
  const counts = { all: 0, failed: 0 };
  const stopping = new AbortController();
  const visiting = (async () => {
    while (!stopping.signal.aborted) {
      counts.all += 1;
      const signal = AbortSignal.timeout(5_000);
      const isFine = await fetch(`http://${address}:8080/`, { signal }).then(
        async (answer) => (await answer.text()) === 'hello',
        () => false,
      );
      if (!isFine) counts.failed += 1;
      await delay(100);
    }
  })();
  return {
    get all() {
      return counts.all;
    },
    get failed() {
      return counts.failed;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await visiting;
    },
  };
}
