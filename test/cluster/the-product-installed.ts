import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installChart, rolledOut, SYSTEM_NAMESPACE, testChart } from './helm.ts';
import { noteGrants } from './permissions-are-used.ts';
import { applyObjects } from './pods.ts';
import {
  AS_TINA,
  backupOf,
  createObject,
  endOf,
  giveTeam,
  scheduleOf,
  storeSecret,
  type Story,
} from './story.ts';

/** From `helm install` on: what users meet first. The tests follow each other. */
export function theProductInstalled(told: () => Story): void {
  let installedAt = 0;

  test('helm installs it: the agent enrols, one replica of the control plane leads, the webhook answers', async () => {
    const story = told();
    const { cluster } = story;
    installedAt = performance.now();
    await installChart(cluster);
    await rolledOut(cluster);
    await noteGrants(story);

    const inSystem = ['--namespace', SYSTEM_NAMESPACE];
    const said = await cluster.kubectl('logs', ...inSystem, 'daemonset/etcdguardian-agent');
    assert.match(said, new RegExp(`"event":"enrolled","message":"a certificate for ${cluster.name} `));
    const lease = ['lease', 'etcdguardian-controlplane', '--output=jsonpath={.spec.holderIdentity}'];
    assert.match(await cluster.kubectl('get', ...inSystem, ...lease), /^etcdguardian-controlplane-/);
  });

  test('a tenant has her own namespaces backed up every minute', async () => {
    const story = told();
    await giveTeam(story, 'team-a');
    await giveTeam(story, 'steady', { pace: 'steady', size: 'large' });
    await applyObjects(story.cluster, storeSecret(story, 'team-a'));
    await createObject(story, scheduleOf(story, 'team-a', 'often', { pace: 'steady' }), ...AS_TINA);
    await createObject(story, scheduleOf(story, 'team-a', 'too-much', { size: 'large' }), ...AS_TINA);
    // Her second schedule selects it from now on, and she has no right to it.
    const labels = { size: 'large' };
    const metadata = { name: 'foreign', labels };
    await applyObjects(story.cluster, { apiVersion: 'v1', kind: 'Namespace', metadata });
  });

  test('an encrypted backup of the whole cluster completes, made by the agent and proven by etcd', async (t) => {
    const story = told();
    const encryptionSecret = 'backup-key';
    await applyObjects(
      story.cluster,
      storeSecret(story, SYSTEM_NAMESPACE),
      {
        ...{ apiVersion: 'v1', kind: 'Secret' },
        metadata: { namespace: SYSTEM_NAMESPACE, name: encryptionSecret },
        data: { key: Buffer.alloc(32, 0xa7).toString('base64') },
      },
      backupOf(story, SYSTEM_NAMESPACE, 'everything', {
        validation: { enabled: true, consistencyCheck: true },
        encryption: { enabled: true, encryptionSecret },
      }),
    );
    const ended = await endOf(story, SYSTEM_NAMESPACE, 'etcdbackup/everything');
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
    const seconds = (performance.now() - installedAt) / 1000;
    t.diagnostic(`from helm install to the first proven backup: ${seconds.toFixed(0)} s`);
    assert.equal(ended.source?.node, story.cluster.name);
    assert.deepEqual(ended.validationResult, {
      ...ended.validationResult,
      ...{ verdict: 'Sound', proof: 'LiveHash' },
    });
    assert.match(ended.snapshotLocation ?? '', /^s3:\/\/backups\//);
  });

  test('helm test is content', async () => {
    assert.match(await testChart(told().cluster), /Phase: +Succeeded/);
  });

  test('a tenant may not back up the whole cluster, and is told what is missing', async () => {
    const story = told();
    await assert.rejects(
      createObject(story, backupOf(story, 'team-a', 'everything'), ...AS_TINA),
      /is forbidden: .*needs verb backup on etcdclusters\.etcdguardian\.io/s,
    );
  });
}
