import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyObjects, guardianContainer } from './pods.ts';
import { AS_ROBOT, backupOf, createObject, endOf, giveTeam, restoreOf, type Story } from './story.ts';

/** A tenant's namespace, with something that runs in it, is deleted and restored. */
export function namespacesComeBack(told: () => Story): void {
  test("a tenant's namespace is backed up by a service account of the tenant, without what it may not list", async () => {
    const story = told();
    const { cluster } = story;
    await giveTeam(story, 'shop', { team: 'a' });
    await applyObjects(
      cluster,
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: 'team-a', name: 'robot' } },
      ...workload('shop'),
    );
    await cluster.kubectl('rollout', 'status', '--namespace=shop', '--timeout=120s', 'deployment/web');
    const namespaceSelector = { matchLabels: { team: 'a' } };
    await createObject(story, backupOf(story, 'team-a', 'shop', { namespaceSelector }), ...AS_ROBOT);
    const ended = await endOf(story, 'team-a', 'etcdbackup/shop');
    assert.equal(ended.phase, 'Completed', ended.message ?? '');
    assert.deepEqual(ended.namespaces?.names, ['shop']);
  });

  test('the namespace is deleted and comes back, and what ran in it runs again', async () => {
    const story = told();
    const { cluster } = story;
    await cluster.kubectl('delete', 'namespace', 'shop', '--timeout=120s');
    await createObject(
      story,
      restoreOf('team-a', 'shop', { backupName: 'shop', restoreMode: 'Full', namespaceFilter: ['shop'] }),
    );
    const ended = await endOf(story, 'team-a', 'etcdrestore/shop');
    assert.equal(ended.phase, 'Completed', JSON.stringify(ended));
    assert.equal(ended.objects?.failed, 0);
    await cluster.kubectl('rollout', 'status', '--namespace=shop', '--timeout=120s', 'deployment/web');
    const get = ['get', '--namespace=shop', '--output=jsonpath={.data.color}'];
    assert.equal(await cluster.kubectl(...get, 'configmap/settings'), 'red');
    assert.equal(await cluster.kubectl(...get, 'secret/password'), Buffer.from('blue').toString('base64'));
    // Who may what in it was no thing that its backup could hold.
    await giveTeam(story, 'shop', { team: 'a' });
  });
}

function workload(namespace: string): object[] {
  const labels = { app: 'web' };
  const script = `require('node:http').createServer((_, answer) => answer.end('hello')).listen(8080)`;
  const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 };
  const container = { ...guardianContainer({ script }), readinessProbe };
  return [
    {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name: 'web' } },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { terminationGracePeriodSeconds: 0, containers: [container] },
        },
      },
    },
    {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'settings' } },
      data: { color: 'red' },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'password' } },
      stringData: { color: 'blue' },
    },
  ];
}
