import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { KUBE_PROGRAMS, startKubeApiServer } from './kube-apiserver.ts';
import { needs } from './tools.ts';

test(
  'an API server knows its users by token, judges them by RBAC, and keeps its data when it is killed',
  needs(...KUBE_PROGRAMS),
  async () => {
    await using kube = await startKubeApiServer({ users: [{ name: 'tina', groups: ['team-a'] }] });
    const created = await kube.request('POST', '/api/v1/namespaces', {
      body: { metadata: { name: 'team-a' } },
    });
    assert.equal(created.status, 201, created.message);
    const tina = { token: kube.token('tina') };
    assert.equal((await kube.request('GET', '/api/v1/namespaces', tina)).status, 403);
    assert.equal((await kube.request('GET', '/api/v1/namespaces', { token: 'unknown' })).status, 401);

    await kube.kubectl('create', 'role', 'reader', '-n', 'team-a', '--verb=list', '--resource=secrets');
    await kube.kubectl('create', 'rolebinding', 'readers', '-n', 'team-a', '--role=reader', '--group=team-a');
    const path = '/api/v1/namespaces/team-a/secrets';
    await eventually('the binding holds', async () => {
      const { status } = await kube.request('GET', path, { as: { username: 'tom', groups: ['team-a'] } });
      return status === 200;
    });
    assert.equal((await kube.request('GET', path, { as: { username: 'tom' } })).status, 403);

    await kube.kubectl('create', 'serviceaccount', 'agent', '-n', 'team-a');
    const token = (await kube.kubectl('create', 'token', 'agent', '-n', 'team-a')).trim();
    const refused = await kube.request('GET', path, { token });
    assert.match(refused.message, /system:serviceaccount:team-a:agent.*cannot list/);

    await kube.kill();
    await assert.rejects(kube.request('GET', '/readyz'));
    await kube.restart();
    assert.equal((await kube.request('GET', '/api/v1/namespaces/team-a')).status, 200);
    assert.match(await kube.kubectl('version'), /Server Version: v1\.36\.3/);
  },
);
