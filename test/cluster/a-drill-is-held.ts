import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { CLUSTER_VERSIONS } from '../harness/cluster/node-system.ts';
import { eventually } from '../harness/eventually.ts';
import { SYSTEM_NAMESPACE } from './helm.ts';
import { eventsOf, type Story } from './story.ts';

const IN_SYSTEM = `--namespace=${SYSTEM_NAMESPACE}`;
const DRILLS = '--selector=app.kubernetes.io/component=drill';

const Drill = z.object({
  ...{ result: z.string(), message: z.string(), recoverySeconds: z.number() },
  ...{ etcdVersion: z.string(), kubeApiserverVersion: z.string() },
});

/** What the control plane did about a proven backup of the whole cluster while other things happened. */
export function aDrillIsHeld(told: () => Story): void {
  test("a restore was rehearsed beside the live cluster, with the cluster's own programs", async (t) => {
    const story = told();
    const field = '{.status.validationResult.drill}';
    const backup = ['etcdbackup/everything', IN_SYSTEM];
    await story.cluster.kubectl('wait', ...backup, `--for=jsonpath=${field}`, '--timeout=600s');
    const text = await story.cluster.kubectl('get', ...backup, `--output=jsonpath=${field}`);
    t.diagnostic(text);
    const drill = Drill.parse(JSON.parse(text));
    assert.equal(drill.result, 'Passed', drill.message);
    assert.ok(drill.recoverySeconds > 0);
    const { etcd, kubernetes } = CLUSTER_VERSIONS;
    assert.deepEqual([drill.etcdVersion, drill.kubeApiserverVersion], [etcd, kubernetes]);
    await eventually('an Event tells it', async () =>
      (await eventsOf(story, SYSTEM_NAMESPACE, 'everything')).includes('DrillPassed'),
    );
  });

  test('nothing of it is left on the node, and its Secret goes with its Job', async () => {
    const { cluster } = told();
    const uid = '--output=jsonpath={.items[0].metadata.uid}';
    const pod = await cluster.kubectl('get', 'pods', IN_SYSTEM, DRILLS, uid);
    const volumes = join(cluster.root, 'var/lib/kubelet/pods', pod, 'volumes/kubernetes.io~empty-dir');
    await eventually('what was restored is gone', async () => (await readdir(volumes)).length === 0);
    assert.match(
      await cluster.kubectl('get', 'secrets', IN_SYSTEM, DRILLS, '--output=name'),
      /^secret\/drill-/,
    );
    await cluster.kubectl('delete', 'jobs', IN_SYSTEM, DRILLS, '--cascade=foreground', '--timeout=600s');
    await eventually('Secret and pod are gone', async () => {
      return (await cluster.kubectl('get', 'pods,secrets', IN_SYSTEM, DRILLS, '--output=name')) === '';
    });
  });
}
