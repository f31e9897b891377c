import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { processesWith } from '../../agent/restore/processes.ts';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { type Downtime, startedAt, watchDowntime } from './downtime.ts';
import { SYSTEM_NAMESPACE } from './helm.ts';
import { noteGrants, noteNoGrants } from './permissions-are-used.ts';
import { applyObjects, guardianContainer } from './pods.ts';
import { backupOf, createObject, endOf, eventsOf, restoreOf, type Story } from './story.ts';

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
    await applyObjects(cluster, phantom(cluster));
    await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=120s', 'pod/phantom');

    await using downtime = watchDowntime(cluster);
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
    // One that begins to serve refuses whatever it hasn't read the rights for yet.
    noteNoGrants(story, await cluster.auditLog());
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdrestore/all');
    await noteGrants(story);
    t.diagnostic(`the restore took ${((performance.now() - began) / 1000).toFixed(0)} s`);
    assert.equal(ended.phase, 'Completed', JSON.stringify(ended));
    t.diagnostic(await toldDowntime(story, downtime));
    const members = await cluster.kubectl(
      ...['get', 'etcdrestore', 'all', `--namespace=${SYSTEM_NAMESPACE}`],
      '--output=jsonpath={.status.members[*].message}',
    );
    t.diagnostic(members);
    for (const program of ['kube-scheduler', 'kube-controller-manager'])
      assert.match(members, new RegExp(`${program} (was restarted|had come up anew)`));

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

/** What the leader saw behind the restore, after it had looked twice. */
export function theClusterIsLookedAfter(told: () => Story): void {
  test('a pod that the restored data does not know is told, and its kubelet ends it', async (t) => {
    const { cluster } = told();
    const condition = '{.status.conditions[?(@.type=="PostCare")]';
    const get = ['get', 'etcdrestore', 'all', `--namespace=${SYSTEM_NAMESPACE}`];
    await eventually(
      'it was looked',
      async () => (await cluster.kubectl(...get, `--output=jsonpath=${condition}.status}`)) === 'False',
      120_000,
    );
    const message = await cluster.kubectl(...get, `--output=jsonpath=${condition}.message}`);
    t.diagnostic(message);
    // Where the other replica leads by now, nobody remembers who was there.
    const named = `no longer knows \\(\\d+\\): .*default/phantom on ${cluster.name}`;
    assert.match(message, new RegExp(`${named}|whoever counted them is gone`));
    assert.doesNotMatch(message, /nobody renews or ends/);
    assert.match(await eventsOf(told(), SYSTEM_NAMESPACE, 'all'), /PostCare/);
    await eventually(
      'its process is gone',
      async () => (await processesWith('node', [markOf(cluster)])).length === 0,
      120_000,
    );
  });
}

/** A pod that is made after the backup. */
function phantom(cluster: Cluster): object {
  const container = guardianContainer({ script: markOf(cluster) });
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'phantom' } },
    spec: { terminationGracePeriodSeconds: 0, containers: [container] },
  };
}

/** Its script, which no other process of this machine has. */
function markOf({ nodeAddress }: Cluster): string {
  return `setInterval(() => ${JSON.stringify(nodeAddress)}, 1000)`;
}

async function toldDowntime({ cluster }: Story, { away }: Downtime): Promise<string> {
  if (away === undefined) return 'the API server was away for less than a moment';
  const seconds = (from: Date, to: Date): string => ((to.getTime() - from.getTime()) / 1000).toFixed(1);
  const log = await cluster.kubectl(
    'logs',
    `--namespace=${SYSTEM_NAMESPACE}`,
    'daemonset/etcdguardian-agent',
  );
  const [, started = ''] =
    log
      .split('\n')
      .filter((line) => line.includes('"event":"restore-step"'))
      .map((line) => /"time":"([^"]+)".*: Started"/.exec(line))
      .findLast((found) => found !== null) ?? [];
  const api = await startedAt('kube-apiserver', `--advertise-address=${cluster.nodeAddress}`);
  const etcd = await startedAt('etcd', `--advertise-client-urls=https://${cluster.nodeAddress}:2379`);
  return (
    `not ready for ${seconds(away.from, away.to)} s, of which kube-apiserver's own start took ` +
    `${seconds(api, away.to)} s and etcd's ${seconds(etcd, new Date(started))} s`
  );
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
