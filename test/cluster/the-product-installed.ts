import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import type { Cluster } from '../harness/cluster/start-cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { startS3Server } from '../harness/s3.ts';
import { GUARDIAN_IMAGE } from './guardian-archive.ts';
import { installChart, SYSTEM_NAMESPACE } from './helm.ts';
import { applyObjects } from './pods.ts';

const [REPOSITORY = '', TAG = ''] = GUARDIAN_IMAGE.split(/:(?=[^/]*$)/);

const RBAC = 'rbac.authorization.k8s.io';

/** From `helm install` on: what users meet first. The tests follow each other. */
export function theProductInstalled(running: () => Cluster): void {
  let installedAt = 0;

  test('helm installs it: the agent enrols, one replica of the control plane leads, the webhook answers', async () => {
    const cluster = running();
    installedAt = performance.now();
    await installChart(cluster, {
      image: { repository: REPOSITORY, tag: TAG, pullPolicy: 'Never' },
      allowedEndpoints: [cluster.hostAddress],
    });
    await rolledOut(cluster, 'deployment/etcdguardian-controlplane');
    await rolledOut(cluster, 'deployment/etcdguardian-webhook');
    await rolledOut(cluster, 'daemonset/etcdguardian-agent');

    const said = await cluster.kubectl(
      'logs',
      '--namespace',
      SYSTEM_NAMESPACE,
      'daemonset/etcdguardian-agent',
    );
    assert.match(said, new RegExp(`"event":"enrolled","message":"a certificate for ${cluster.name} `));
    const lease = ['lease', 'etcdguardian-controlplane', '--output=jsonpath={.spec.holderIdentity}'];
    const leader = await cluster.kubectl('get', '--namespace', SYSTEM_NAMESPACE, ...lease);
    assert.match(leader, /^etcdguardian-controlplane-/);
  });

  test('a backup of the whole cluster completes, made by the agent and proven by etcd', async (t) => {
    const cluster = running();
    await using s3 = await startS3Server({ host: cluster.hostAddress });
    await s3.createBucket('backups');
    await applyObjects(
      cluster,
      {
        ...{
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { namespace: SYSTEM_NAMESPACE, name: 's3-credentials' },
        },
        stringData: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
      },
      backupOfAll(SYSTEM_NAMESPACE, s3.endpoint),
    );
    const backup = ['etcdbackup/everything', `--namespace=${SYSTEM_NAMESPACE}`];
    const ended = await eventually('the backup has ended', async () => {
      const { status } = Backup.parse(JSON.parse(await cluster.kubectl('get', ...backup, '--output=json')));
      return /Completed|Failed/.test(status.phase) && status;
    });
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
    const seconds = (performance.now() - installedAt) / 1000;
    t.diagnostic(`from helm install to the first proven backup: ${seconds.toFixed(0)} s`);
    assert.ok(seconds < 90, `it took ${seconds} s from helm install to the first proven backup`);
    assert.equal(ended.source?.node, cluster.name);
    assert.deepEqual(ended.validationResult, {
      ...ended.validationResult,
      verdict: 'Sound',
      proof: 'LiveHash',
    });
    assert.match(ended.snapshotLocation ?? '', /^s3:\/\/backups\//);
  });

  test('a tenant may not back up the whole cluster, and is told what is missing', async () => {
    const cluster = running();
    await applyObjects(
      cluster,
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a' } },
      {
        ...{ apiVersion: `${RBAC}/v1`, kind: 'Role', metadata: { namespace: 'team-a', name: 'backups' } },
        rules: [
          { apiGroups: ['etcdguardian.io'], resources: ['etcdbackups'], verbs: ['*'] },
          { apiGroups: [''], resources: ['secrets', 'configmaps', 'pods'], verbs: ['*'] },
        ],
      },
      {
        ...{ apiVersion: `${RBAC}/v1`, kind: 'RoleBinding', metadata: { namespace: 'team-a', name: 'tina' } },
        roleRef: { apiGroup: RBAC, kind: 'Role', name: 'backups' },
        subjects: [{ apiGroup: RBAC, kind: 'User', name: 'tina' }],
      },
    );
    const endpoint = `http://${cluster.hostAddress}:9000`;
    const backup = await cluster.file('backup.json', JSON.stringify(backupOfAll('team-a', endpoint)));
    await assert.rejects(
      cluster.kubectl('create', `--filename=${backup}`, '--as=tina'),
      /is forbidden: .*needs verb backup on etcdclusters\.etcdguardian\.io/s,
    );
  });
}

async function rolledOut(cluster: Cluster, workload: string): Promise<void> {
  await cluster.kubectl('rollout', 'status', `--namespace=${SYSTEM_NAMESPACE}`, '--timeout=120s', workload);
}

function backupOfAll(namespace: string, endpoint: string): object {
  return {
    ...{
      apiVersion: 'etcdguardian.io/v1alpha1',
      kind: 'EtcdBackup',
      metadata: { namespace, name: 'everything' },
    },
    spec: {
      backupMode: 'Full',
      storageLocation: {
        ...{ provider: 'S3', bucket: 'backups', region: 'us-east-1', credentialsSecret: 's3-credentials' },
        endpoint,
      },
      validation: { enabled: true, consistencyCheck: true },
    },
  };
}

const Backup = z.object({
  status: z
    .object({
      phase: z.string().default(''),
      message: z.string().optional(),
      snapshotLocation: z.string().optional(),
      source: z.object({ node: z.string().optional() }).optional(),
      validationResult: z
        .looseObject({ verdict: z.string().optional(), proof: z.string().optional() })
        .optional(),
    })
    .default({ phase: '' }),
});
