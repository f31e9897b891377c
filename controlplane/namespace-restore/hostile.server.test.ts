import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { openTaskRepository } from '../../lib/backup/task/task-repository.ts';
import { namespaceManifestName } from '../../lib/repository/layout.ts';
import type { NamespaceFacts } from '../../lib/repository/namespace-backups.ts';
import type { PartRecord } from '../../lib/repository/part-records.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { needs } from '../../test/harness/tools.ts';
import { snapshotLocation } from '../backup/snapshot-location.ts';
import {
  ALICE,
  KEYS,
  ROOT,
  startTenantScene,
  type TenantScene,
} from '../namespace-backup/tenant-scene.fixture.ts';
import { mayUser } from '../../lib/kubernetes/access-review.ts';
import { eventually } from '../../test/harness/eventually.ts';

describe('a file of a tenant’s making', needs(...KUBE_PROGRAMS, 'versitygw'), () => {
  let scene: TenantScene;
  const stack = new AsyncDisposableStack();
  before(async () => {
    scene = stack.use(await startTenantScene());
  });
  after(() => stack.disposeAsync());

  const repositoryOf = async (
    fill = 7,
  ): Promise<Repository & { putBytes: (name: string, bytes: Buffer) => Promise<unknown> }> => {
    const { s3, location, folder } = scene;
    const { repository, store } = await openTaskRepository(
      {
        location,
        secret: {
          values: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
          from: 's3',
        },
        keys: { ...KEYS, encryption: Buffer.alloc(32, fill) },
      },
      {
        ...{ clock: () => new Date(), knownPoints: undefined, onWarning: () => undefined },
        spool: { folder: folder.path, memoryBytes: 1 << 20, diskBytes: 1 << 24 },
        signal: new AbortController().signal,
      },
    );
    const putBytes = async (name: string, bytes: Buffer): Promise<unknown> => {
      await store.delete(name, {});
      return store.put(name, listed([bytes]), {});
    };
    return { ...repository, putBytes };
  };

  /** Signed and sealed with the tenant's own key: the control plane has no reason to distrust it but its content. */
  const crafted = async (
    records: readonly PartRecord[] | AsyncIterable<PartRecord>,
    facts: Partial<NamespaceFacts> = {},
    fill?: number,
  ): Promise<string> => {
    const repository = await repositoryOf(fill);
    const { cluster } = scene.tools;
    const writer = await repository.namespaces.begin({ cluster, etcdClusterId: 1n, clusterRevision: 1n });
    const part = await repository.namespaces.putPart(
      writer,
      'etcd',
      'length' in records ? listed(records) : records,
    );
    await writer.commit({
      ...{ revision: 1n, readAt: new Date(), namespaces: ['team-a'], omitted: [], parts: [part] },
      resources: [{ resource: 'configmaps', directory: 'configmaps', part: 'etcd' }],
      ...facts,
    });
    return snapshotLocation({
      ...{ store: repository.location, cluster, timeline: writer.timeline, chain: writer.id },
      ...{ revision: undefined, ofNamespaces: true },
    });
  };

  test('brings in nothing but what belongs into the namespaces that are restored', async () => {
    const from = await crafted(HOSTILE.map(([key, value]) => ({ key, value })));
    const { errors, objects, restoredKeys } = await scene.restore(ALICE, from, { conflictPolicy: 'Skip' });
    assert.equal(restoredKeys, 1);
    for (const [key, , reason] of HOSTILE) {
      if (reason === undefined) continue;
      const told = errors.filter((error) => reason.test(error));
      assert.ok(told.length > 0, `${key}: ${errors.join('\n')}`);
    }
    assert.equal(objects.failed, HOSTILE.filter(([, , reason]) => reason !== undefined).length);
    for (const path of NOT_THERE) assert.equal((await scene.server.request('GET', path)).status, 404, path);
  });

  test('that claims other namespaces is judged by rights, not by its claims', async () => {
    const namespaces = ['team-a', 'team-b', 'kube-system'];
    const from = await crafted([record('team-b', 'stolen')], { namespaces });
    await assert.rejects(scene.restore(ALICE, from), {
      code: 'admission.forbidden',
      message: /kube-system|team-b/,
    });
    const { errors, restoredKeys } = await scene.restore(ALICE, from, { namespaceFilter: ['team-a'] });
    assert.deepEqual([errors, restoredKeys], [[], 0]);
    assert.equal(
      (await scene.server.request('GET', '/api/v1/namespaces/team-b/configmaps/stolen')).status,
      404,
    );
  });

  test('gives nobody more rights than he has: the API server refuses the RoleBinding', async () => {
    const rbac = 'rbac.authorization.k8s.io';
    await scene.apply({
      ...{ apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata: { name: 'kings', namespace: 'team-a' } },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: rbac, kind: 'User', name: 'alice' }],
    });
    // Honestly made, by someone who may.
    const from = (await scene.backUp(ROOT)).snapshotLocation ?? '';
    await scene.server.kubectl('delete', 'rolebinding', 'kings', '-n', 'team-a');
    const asKing = { verb: '*', group: '*', resource: '*', namespace: 'team-a' };
    await eventually('she is no king', async () => !(await mayUser(scene.kube, ALICE, asKing)));
    const { errors, problem } = await scene.restore(ALICE, from, { conflictPolicy: 'Skip' });
    assert.equal(problem?.code, 'tenant.objects-failed');
    assert.match(errors.join('\n'), /kings.*(attempting to grant|cannot bind|forbidden)/i);
    assert.equal(
      (await scene.server.request('GET', `/apis/${rbac}/v1/namespaces/team-a/rolebindings/kings`)).status,
      404,
    );
    const administrators = await scene.restore(ROOT, from, { conflictPolicy: 'Skip' });
    assert.deepEqual(administrators.errors, []);
  });

  test('that unpacks to more than anybody needs is given up', async () => {
    const zeros = Buffer.alloc(4 << 20);
    const bomb = async function* (): AsyncGenerator<PartRecord> {
      for (let number = 0; number < 260; number++)
        yield await Promise.resolve({ key: `configmaps/team-a/c${number}`, value: zeros });
    };
    // As the product runs: marked in steps, garbage outside the heap outlives a busy machine by hundreds of MiB.
    setFlagsFromString('--no-incremental-marking');
    const from = await crafted(bomb());
    const before = process.memoryUsage().rss;
    await assert.rejects(scene.restore(ALICE, from), { code: 'tenant.too-large' });
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    assert.ok(grown < 400, `${grown} MiB`);
    const deep = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"deep","namespace":"team-a"},"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    const nested = await crafted([{ key: 'configmaps/team-a/deep', value: Buffer.from(deep) }]);
    assert.match((await scene.restore(ALICE, nested)).errors.join(), /deep.*nests deeper/);
  });

  test('of another key, a changed one, or one of a later format is refused', async () => {
    const others = await crafted([record('team-a', 'x')], {}, 8);
    await assert.rejects(scene.restore(ALICE, others), { name: 'GuardianError', code: /^signature\./ });
    const good = await crafted([record('team-a', 'x')]);
    const id = good.slice(good.lastIndexOf('/') + 1);
    const { cluster } = scene.tools;
    const repository = await repositoryOf();
    const place = { cluster, timeline: /timelines\/([0-9]+)/.exec(good)?.[1] ?? '', id };
    await repository.putBytes(namespaceManifestName(place), Buffer.from('{"payload":"AA=="}'));
    await assert.rejects(scene.restore(ALICE, good), { code: 'repository.damaged' });
    // A path is no id, and leads nowhere.
    for (const trick of ['../../../etc', '..%2f..', 'x/../../y']) {
      await assert.rejects(scene.restore(ALICE, good.replace(id, trick)), {
        code: /controlplane\.snapshot-location|repository\.not-found/,
      });
    }
  });
});

function configMap(namespace: string, name: string, extra: object = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, uid: randomUUID() },
      ...extra,
    }),
  );
}

function record(namespace: string, name: string): PartRecord {
  return { key: `configmaps/${namespace}/${name}`, value: configMap(namespace, name) };
}

const clusterRole = Buffer.from(
  JSON.stringify({
    ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'king' } },
    rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
  }),
);

/** Key, value, and why it is refused; without a reason it is restored. */
const HOSTILE: readonly (readonly [key: string, value: Buffer, reason?: RegExp])[] = [
  ['configmaps/team-a/good', configMap('team-a', 'good')],
  ['clusterroles/king', clusterRole, /clusterroles\/king: it is cluster-wide/],
  ['roles/team-a/king', clusterRole, /roles\/team-a\/king: its value is that of "\/king"/],
  ['configmaps/team-b/other', configMap('team-b', 'other'), /team-b\/other: it is of namespace team-b/],
  ['configmaps/kube-system/x', configMap('kube-system', 'x'), /kube-system\/x: it is of namespace/],
  [
    'configmaps/team-a/forged',
    configMap('team-b', 'forged'),
    /forged: its value is that of "team-b\/forged"/,
  ],
  ['configmaps/team-a/renamed', configMap('team-a', 'other'), /renamed: its value is that of/],
  [
    'configmaps/team-a/secret',
    Buffer.from(configMap('team-a', 'secret').toString().replace('ConfigMap', 'Secret')),
    /secret: its value is a v1 Secret/,
  ],
  ['configmaps/team-a/..', configMap('team-a', '..'), /no object has such a key/],
  ['configmaps/../kube-system/x', configMap('kube-system', 'x'), /no object has such a key/],
  ['configmaps/team-a/a/b', configMap('team-a', 'a/b'), /no object has such a key/],
  ['configmaps/team-a/a%2fb', configMap('team-a', 'a%2fb'), /no object has such a name/],
  ['configmaps/team-a/a\n\u001b[2J', configMap('team-a', 'a'), /\\u\{1b\}\[2J: no object has such a name/],
  ['configmaps/team-a/good', configMap('team-a', 'good'), /the backup has it twice/],
  [
    'namespaces/team-b',
    Buffer.from('{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"team-b"}}'),
    /namespaces\/team-b: it is of namespace team-b/,
  ],
  ['nothings/team-a/x', configMap('team-a', 'x'), /has no such resource/],
  [
    'deployments/team-a/old',
    Buffer.from(
      '{"apiVersion":"extensions/v1beta1","kind":"Deployment","metadata":{"name":"old","namespace":"team-a"}}',
    ),
    /it is stored as extensions\/v1beta1 Deployment, and this API server serves apps\/v1/,
  ],
  ['configmaps/team-a/broken', Buffer.from('k8s\0\xff\xff', 'latin1'), /broken: /],
  ['configmaps/team-a/sealed', Buffer.from('k8s:enc:aescbc:v1:k1:xxxx'), /sealed: it is encrypted at rest/],
];

const NOT_THERE = [
  '/apis/rbac.authorization.k8s.io/v1/clusterroles/king',
  '/apis/rbac.authorization.k8s.io/v1/namespaces/team-a/roles/king',
  '/api/v1/namespaces/team-b/configmaps/other',
  '/api/v1/namespaces/team-b/configmaps/forged',
  '/api/v1/namespaces/team-a/configmaps/forged',
  '/api/v1/namespaces/kube-system/configmaps/x',
];

async function* listed<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) yield await Promise.resolve(value);
}
