import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { after, before, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS, type KubeApiServer, startKubeApiServer } from '../../test/harness/kube-apiserver.ts';
import { needs } from '../../test/harness/tools.ts';
import { hasCode } from '../guardian-error.ts';
import { connectKube, type KubeConnection } from './connect-kube.ts';
import type { KubeObject } from './kube-client.ts';
import { type Change, type Reflector, startReflector } from './reflector.ts';
import { mayUser } from './access-review.ts';

const MAPS = { group: '', version: 'v1', plural: 'configmaps' };
const OBJECTS = 1_000;

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

let kube: KubeApiServer;
let client: KubeConnection;
const programs = needs(...KUBE_PROGRAMS);

if (programs.skip === undefined) {
  before(async () => {
    kube = await startKubeApiServer({
      users: [{ name: 'tina' }],
      audit: true,
      // Administrators are never turned away; tina is when she asks for two things at once.
      args: ['--enable-priority-and-fairness=false', '--max-requests-inflight=1'],
    });
    client = await connectKube({ kubeconfig: kube.kubeconfig, perSecond: 10_000, burst: 10_000 });
    await client.create({ group: '', version: 'v1', plural: 'namespaces' }, undefined, {
      metadata: { name: 'a' },
    });
  });
  after(async () => {
    client[Symbol.dispose]();
    await kube[Symbol.asyncDispose]();
  });
}

test('a thousand objects are listed in pages and watched, in little memory', programs, async () => {
  const numbers = Array.from({ length: OBJECTS }, (_, at) => at).values();
  const writer = async (): Promise<void> => {
    for (const at of numbers)
      await client.create(MAPS, 'a', { metadata: { name: `map-${at}` }, data: { text: 'x'.repeat(1_000) } });
  };
  await Promise.all(Array.from({ length: 20 }, writer));

  const before = heapBytes();
  await using reflected = reflect(client);
  const { reflector, changes } = reflected;
  await reflector.synced;
  assert.equal(reflector.size, OBJECTS);
  assert.equal(changes.filter(([, change]) => change === 'added').length, OBJECTS);
  const grown = heapBytes() - before;
  assert.ok(grown < 8 * 2 ** 20, `${OBJECTS} objects of 1 kB take ${grown} bytes`);
  assert.ok(!('managedFields' in (reflector.get('a/map-7')?.metadata ?? {})));

  await client.mergePatch({ resource: MAPS, namespace: 'a', name: 'map-7' }, { data: { text: 'changed' } });
  await client.delete({ resource: MAPS, namespace: 'a', name: 'map-8' });
  await eventually(
    'both changes are seen',
    () => reflector.get('a/map-7')?.data?.text === 'changed' && reflector.size < OBJECTS,
  );
  assert.deepEqual(changes.slice(OBJECTS), [
    ['a/map-7', 'changed'],
    ['a/map-8', 'deleted'],
  ]);
});

test(
  'an API server that restarts, over history that is compacted, is caught up with: also what was deleted meanwhile',
  programs,
  async () => {
    await using reflected = reflect(client);
    const { reflector, changes, troubles } = reflected;
    await reflector.synced;
    const known = reflector.size;
    changes.length = 0;

    await kube.kill();
    await kube.etcd.etcdctl('del', '/registry/configmaps/a/map-1');
    const put = await kube.etcd.etcdctl('get', '/registry/configmaps/a/map-2', '--print-value-only');
    assert.ok(put.includes('map-2'));
    const { revision } = await kube.etcd.status();
    await kube.etcd.etcdctl('compact', String(revision));
    await kube.restart();
    await client.mergePatch({ resource: MAPS, namespace: 'a', name: 'map-3' }, { data: { text: 'later' } });

    await eventually('the last change is seen', () => reflector.get('a/map-3')?.data?.text === 'later');
    await eventually('the deletion is seen', () => reflector.get('a/map-1') === undefined);
    assert.equal(reflector.size, known - 1);
    assert.deepEqual(changes.toSorted(), [
      ['a/map-1', 'deleted'],
      ['a/map-3', 'changed'],
    ]);
    assert.ok(troubles.length < 100, `${troubles.length} tries are a busy loop`);
  },
);

test('an API server that says nothing any more is left, and found again', programs, async () => {
  using impatient = await connectKube({ kubeconfig: kube.kubeconfig, silentMs: 2_500, timeoutMs: 2_500 });
  await using reflected = reflect(impatient);
  const { reflector, troubles } = reflected;
  await reflector.synced;
  await kube.kill('SIGSTOP');
  await eventually('the silence is told', () => troubles.length > 0);
  await kube.kill('SIGCONT');
  await client.create(MAPS, 'a', { metadata: { name: 'after-silence' } });
  await eventually('the new object is seen', () => reflector.get('a/after-silence') !== undefined);
});

test('who is turned away by a busy API server waits and asks again', programs, async () => {
  await client.create(
    { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterrolebindings' },
    undefined,
    {
      metadata: { name: 'tina' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'User', name: 'tina' }],
    },
  );
  const listing = { verb: 'list', group: '', resource: 'configmaps', namespace: 'a' };
  await eventually('she may', () => mayUser(client, { username: 'tina' }, listing));
  const tina = client.as({ username: 'tina' });
  // In each round one gets through, however slow it is; nobody gives up before the eighth.
  const lists = await Promise.all(
    Array.from({ length: 4 }, async () => await tina.list(MAPS, { namespace: 'a' })),
  );
  assert.ok(lists.every(({ items }) => items.length >= OBJECTS - 2));
  const refusals = (await kube.audit()).filter(({ responseStatus }) => responseStatus?.code === 429);
  assert.ok(refusals.length > 0, 'the API server never was busy');
});

test('a resource that isn’t there yet is waited for', programs, async () => {
  const widgets = { group: 'test.example', version: 'v1', plural: 'widgets' };
  await using reflected = reflect(client, widgets);
  const { reflector, troubles } = reflected;
  await eventually('it is told', () => troubles.some((error) => hasCode(error, 'kubernetes.not-found')));
  await client.create(
    { group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions' },
    undefined,
    {
      metadata: { name: 'widgets.test.example' },
      spec: {
        ...{ group: 'test.example', scope: 'Cluster', names: { plural: 'widgets', kind: 'Widget' } },
        versions: [
          { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
        ],
      },
    },
  );
  await reflector.synced;
});

test('a reflector that is ended before its first list rejects with the reason', async () => {
  using nowhere = await connectKube({ kubeconfig: kube.kubeconfig });
  const ended = new AbortController();
  const reflector = startReflector({ client: nowhere, resource: MAPS, signal: ended.signal });
  ended.abort(new Error('not wanted any more'));
  await assert.rejects(reflector.synced, /not wanted any more/);
  await reflector.ended;
});

function reflect(
  from: KubeConnection,
  resource = MAPS,
): {
  reflector: Reflector<ConfigMap>;
  changes: [string, Change][];
  troubles: unknown[];
} & AsyncDisposable {
  const ended = new AbortController();
  const changes: [string, Change][] = [];
  const troubles: unknown[] = [];
  const reflector = startReflector<ConfigMap>({
    ...{ client: from, resource, signal: ended.signal, longestPauseMs: 1_000 },
    ...(resource === MAPS ? { namespace: 'a' } : {}),
    onChange: (key, change) => changes.push([key, change]),
    onTrouble: (error) => troubles.push(error),
  });
  return {
    ...{ reflector, changes, troubles },
    async [Symbol.asyncDispose]() {
      ended.abort(new Error('the test is over'));
      await reflector.ended;
    },
  };
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
