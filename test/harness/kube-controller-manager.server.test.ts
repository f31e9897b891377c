import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { KUBE_PROGRAMS, startKubeApiServer } from './kube-apiserver.ts';
import { CONTROLLER_MANAGER, startControllerManager } from './kube-controller-manager.ts';
import { needs } from './tools.ts';

test(
  'with a controller manager, a deleted namespace and what a deleted owner owned are gone; the audit log tells it all',
  needs(...KUBE_PROGRAMS, CONTROLLER_MANAGER),
  async () => {
    await using kube = await startKubeApiServer({ audit: true });
    await using manager = await startControllerManager(kube);
    await kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'team-a' } } });
    const maps = '/api/v1/namespaces/team-a/configmaps';
    const owner = await kube.request('POST', maps, { body: { metadata: { name: 'owner' } } });
    const { uid } = (owner.body as { metadata: { uid: string } }).metadata;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
    await kube.request('POST', maps, { body: { metadata: { name: 'owned', ownerReferences } } });
    await eventually(
      'the default service account is there',
      async () =>
        (await kube.request('GET', '/api/v1/namespaces/team-a/serviceaccounts/default')).status === 200,
    );

    await kube.request('DELETE', `${maps}/owner`);
    await eventually(
      'what it owned is gone',
      async () => (await kube.request('GET', `${maps}/owned`)).status === 404,
    );
    await kube.request('DELETE', '/api/v1/namespaces/team-a');
    await eventually(
      'the namespace is gone',
      async () => (await kube.request('GET', '/api/v1/namespaces/team-a')).status === 404,
    );

    assert.ok(manager.isRunning());

    const deleted = (await kube.audit()).filter(
      ({ verb, user }) => verb === 'delete' && user.username === 'admin',
    );
    assert.deepEqual(
      deleted.flatMap(({ objectRef }) => objectRef?.name ?? []).filter((name) => name.startsWith('o')),
      ['owner', 'owned'],
    );
  },
);
