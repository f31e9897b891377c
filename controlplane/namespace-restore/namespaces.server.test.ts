import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { CONTROLLER_MANAGER, startControllerManager } from '../../test/harness/kube-controller-manager.ts';
import { sample } from '../../test/harness/sampling.ts';
import { needs } from '../../test/harness/tools.ts';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { CONFIG_MAPS, type ConfigMap } from '../core-resources.ts';
import {
  ALICE,
  BOB,
  ROOT,
  startTenantScene,
  type TenantScene,
} from '../namespace-backup/tenant-scene.fixture.ts';
import { type Death, Died, dyingAt } from './dying-client.fixture.ts';
import { backUpCluster, directoryWithAgent } from './out-of-a-cluster.fixture.ts';
import { SIMPLE_OBJECTS, WORKLOADS } from './tenant-objects.fixture.ts';
import { mayUser } from '../../lib/kubernetes/access-review.ts';

describe('a namespace', needs(...KUBE_PROGRAMS, CONTROLLER_MANAGER, 'versitygw'), () => {
  let scene: TenantScene;
  const stack = new AsyncDisposableStack();

  before(async () => {
    scene = stack.use(await startTenantScene());
    const controllers = await startControllerManager(scene.server, [
      ...['namespace-controller', 'garbage-collector-controller', 'serviceaccount-controller'],
      ...['deployment-controller', 'replicaset-controller'],
    ] as never);
    stack.defer(async () => controllers.kill());
    await scene.apply(...SIMPLE_OBJECTS, ...WORKLOADS);
    await own(scene);
    await eventually('the Deployment has its ReplicaSet', async () => {
      const { items } = await listed(scene, '/apis/apps/v1/namespaces/team-a/replicasets');
      return items.length === 1;
    });
  });
  after(() => stack.disposeAsync());

  let from = '';
  const kept: Record<string, unknown> = {};

  test('is backed up as far as the requester may list it, and what is left out is told', async () => {
    for (const path of PATHS) kept[path] = essence((await scene.server.request('GET', path)).body);
    const operation = 'of-alice';
    const made = await scene.backUp(ALICE, {}, operation);
    assert.equal(made.found, false);
    assert.ok(made.namespaces !== undefined);
    assert.deepEqual(made.namespaces.names, ['team-a']);
    const { omitted = [] } = made.namespaces;
    const reasons = new Map(omitted.map(({ resource, reason }) => [resource, reason]));
    assert.match(reasons.get('limitranges') ?? '', /user "alice" may not list it/);
    assert.match(reasons.get('events') ?? '', /of the moment/);
    assert.equal(reasons.has('secrets'), false);
    from = made.snapshotLocation ?? '';
    assert.match(from, /\/timelines\/000001\/namespaces\//);
    const again = await scene.backUp(ALICE, {}, operation);
    assert.deepEqual([again.found, again.snapshotLocation], [true, from]);
  });

  test('that someone may not read refuses the backup, by its name', async () => {
    await assert.rejects(scene.backUp(BOB), { code: 'admission.forbidden', message: /namespace team-a/ });
    const everybody = {
      namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists' as const }] },
    };
    await assert.rejects(scene.backUp(ALICE, everybody), {
      code: 'admission.forbidden',
      message: /namespace team-b/,
    });
    const nobody = { namespaceSelector: { matchLabels: { team: 'z' } } };
    await assert.rejects(scene.backUp(ALICE, nobody), { code: 'tenant.no-namespaces' });
  });

  test('with what is there already is left alone by Fail and by a dry run', async () => {
    await assert.rejects(scene.restore(ALICE, from), {
      code: 'tenant.conflict',
      message: /configmaps team-a\/settings/,
    });
    await assert.rejects(scene.restore(BOB, from), { code: 'admission.forbidden', message: /team-a/ });
    await assert.rejects(scene.restore(ALICE, from, { namespaceFilter: ['team-b'] }), {
      code: 'tenant.not-in-backup',
    });
    const settings = { resource: CONFIG_MAPS, namespace: 'team-a', name: 'settings' };
    await scene.kube.mergePatch(settings, { data: { color: 'blue' } });
    const tried = await scene.restore(ALICE, from, { conflictPolicy: 'Replace', dryRun: true });
    assert.equal(tried.problem, undefined, String(tried.errors));
    assert.equal((await scene.kube.get<ConfigMap>(settings)).data?.color, 'blue');
    const skipped = await scene.restore(ALICE, from, { conflictPolicy: 'Skip' });
    assert.deepEqual([skipped.restoredKeys, skipped.problem], [0, undefined]);
    const replaced = await scene.restore(ALICE, from, { conflictPolicy: 'Replace' });
    assert.equal((await scene.kube.get<ConfigMap>(settings)).data?.color, 'red');
    assert.ok((replaced.objects.replaced ?? 0) > 5);
  });

  test('comes out of a backup of the whole cluster as well, but for what is encrypted there', async () => {
    const whole = await backUpCluster(scene);
    const settings = { resource: CONFIG_MAPS, namespace: 'team-a', name: 'settings' };
    await scene.kube.delete(settings);
    const agents = directoryWithAgent(scene);
    const only = { conflictPolicy: 'Skip' as const, namespaceFilter: ['team-a'] };
    await assert.rejects(scene.restore(BOB, whole, only, undefined, { agents }), {
      code: 'admission.forbidden',
    });
    await assert.rejects(scene.restore(ROOT, whole, {}, undefined, { agents }), {
      code: 'tenant.no-namespaces',
    });
    const { errors, restoredKeys } = await scene.restore(ALICE, whole, only, undefined, { agents });
    assert.equal(restoredKeys, 1);
    assert.equal((await scene.kube.get<ConfigMap>(settings)).data?.color, 'red');
    assert.match(errors.join('\n'), /secrets\/team-a\/password: it is encrypted at rest/);
  });

  test('that was deleted comes back as it was', async () => {
    const namespaces = { group: '', version: 'v1', plural: 'namespaces' };
    // Here is no controller that lets volumes go.
    const claims = { group: '', version: 'v1', plural: 'persistentvolumeclaims' };
    const claim = { resource: claims, namespace: 'team-a', name: 'data' };
    await scene.kube.mergePatch(claim, { metadata: { finalizers: null } });
    await scene.kube.delete({ resource: namespaces, name: 'team-a' });
    await eventually('team-a is gone', async () => {
      const { status } = await scene.server.request('GET', '/api/v1/namespaces/team-a');
      return status === 404;
    });
    // Its RoleBindings went with it: whoever restores a whole namespace has rights beyond it.
    await scene.apply(CLUSTER_WIDE);
    const makesMaps = { verb: 'create', group: '', resource: 'configmaps', namespace: 'team-a' };
    await eventually('she has them', () => mayUser(scene.kube, ALICE, makesMaps));
    const uid = 'restore-1';
    // Control planes that die at some of its writes leave it to the next one.
    for (const death of sample(DEATHS, 4, 'deaths of a restore')) {
      const kube = dyingAt(scene.kube, death);
      await scene.restore(ALICE, from, {}, uid, { kube }).catch((error: unknown) => {
        assert.ok(error instanceof Died, String(error));
      });
    }
    const done = await scene.restore(ALICE, from, {}, uid);
    assert.deepEqual(done.errors, []);
    for (const path of PATHS) {
      const { status, body } = await scene.server.request('GET', path);
      assert.equal(status, 200, path);
      assert.deepEqual(essence(body), kept[path], path);
    }

    // What belongs together knows each other by its new uids, and controllers make the rest anew.
    const owner = await scene.kube.get<KubeObject>({ ...WIDGET, name: 'owner' });
    const ofOwner = { resource: CONFIG_MAPS, namespace: 'team-a', name: 'of-owner' };
    const [reference] = (await scene.kube.get<KubeObject>(ofOwner)).metadata.ownerReferences ?? [];
    assert.deepEqual([reference?.uid, reference?.name], [owner.metadata.uid, 'owner']);
    const map = { resource: CONFIG_MAPS, namespace: 'team-a', name: done.objects.report ?? '' };
    const report = (await scene.kube.get<ConfigMap>(map)).data?.report ?? '';
    assert.match(report, /^skipped replicasets.apps team-a\/web-.*: Deployment web makes it anew$/m);
    assert.match(report, /^created secrets team-a\/password$/m);
    await eventually('there is a new ReplicaSet', async () => {
      const { items } = await listed(scene, '/apis/apps/v1/namespaces/team-a/replicasets');
      return items.length === 1;
    });

    // The same restore once more, as after a restart: everything is there by its own hand.
    const again = await scene.restore(ALICE, from, {}, uid);
    assert.deepEqual([again.errors, again.restoredKeys], [[], done.restoredKeys]);
  });
});

const DEATHS: readonly Death[] = Array.from({ length: 24 }, (_, at) => ({
  ...{ write: 1 + Math.floor(at / 2), isLost: at % 2 === 0 },
}));

const WIDGET = { resource: { group: 'example.com', version: 'v1', plural: 'widgets' }, namespace: 'team-a' };

const PATHS = [
  ...['configmaps/settings', 'configmaps/of-owner', 'secrets/password', 'services/web', 'services/headless'],
  ...['persistentvolumeclaims/data', 'serviceaccounts/robot', 'pods/alone'],
]
  .map((path) => `/api/v1/namespaces/team-a/${path}`)
  .concat(
    '/apis/apps/v1/namespaces/team-a/deployments/web',
    '/apis/batch/v1/namespaces/team-a/jobs/once',
    '/apis/rbac.authorization.k8s.io/v1/namespaces/team-a/roles/reader',
    '/apis/rbac.authorization.k8s.io/v1/namespaces/team-a/rolebindings/readers',
    '/apis/example.com/v1/namespaces/team-a/widgets/owner',
  );

const CLUSTER_WIDE = {
  ...{
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'alice-tenant' },
  },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'tenant' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'alice' }],
};

/** What people wrote, without what servers and controllers add. */
function essence(object: unknown): object {
  const { metadata, status, ...rest } = structuredClone(object) as {
    metadata: { labels?: Record<string, string> };
    spec?: Record<string, unknown>;
    status?: unknown;
  };
  assert.ok(status !== null);
  const { spec } = rest;
  for (const field of ['clusterIP', 'clusterIPs', 'selector']) {
    if (spec?.clusterIP === 'None' && field !== 'selector') continue;
    if (field === 'selector' && !('completions' in (spec ?? {}))) continue;
    if (spec !== undefined) Reflect.deleteProperty(spec, field);
  }
  if (spec !== undefined && 'completions' in spec) Reflect.deleteProperty(spec, 'template');
  const labels = Object.entries(metadata.labels ?? {}).filter(([name]) => !name.endsWith('uid'));
  return { ...rest, labels: Object.fromEntries(labels) };
}

/** A ConfigMap that belongs to a custom resource, by its uid. */
async function own(scene: TenantScene): Promise<void> {
  const { metadata } = await scene.kube.get<KubeObject>({ ...WIDGET, name: 'owner' });
  await scene.kube.create(CONFIG_MAPS, 'team-a', {
    metadata: {
      name: 'of-owner',
      ownerReferences: [
        { apiVersion: 'example.com/v1', kind: 'Widget', name: 'owner', uid: metadata.uid, controller: true },
      ],
    },
    data: { a: 'b' },
  });
}

async function listed(scene: TenantScene, path: string): Promise<{ items: KubeObject[] }> {
  return (await scene.server.request('GET', path)).body as { items: KubeObject[] };
}
