import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { directoryOf } from '../../keyspace/resource-directory.ts';
import { ownKeys, type OwnPlace } from './own-keys.ts';

const PLACE: OwnPlace = {
  ...{ prefix: '/registry', namespace: 'etcd-guardian-system', lease: 'etcdguardian-controlplane' },
  customResources: [{ group: 'monitoring.coreos.com', plural: 'servicemonitors' }],
  asks: { namespace: 'etcd-guardian-system', name: 'back' },
};

const object = z.object({
  ...{ apiVersion: z.string(), kind: z.string() },
  metadata: z.object({ name: z.string(), namespace: z.string().optional() }),
});

test('everything that an installation makes is ours, whatever kind it is of', async () => {
  const { prefixes, keys, ifLabelled } = ownKeys(PLACE);
  const made = await installed();
  assert.ok(made.length > 40, `${made.length} objects`);
  const missing = made.filter(
    (key) => !prefixes.some((prefix) => key.startsWith(prefix)) && ![...keys, ...ifLabelled].includes(key),
  );
  assert.deepEqual(missing, []);
});

test('what is of the moment, of others or bound to volumes is not', () => {
  const { prefixes, keys, whereAbsent } = ownKeys(PLACE);
  const isOurs = (key: string): boolean =>
    prefixes.some((prefix) => key.startsWith(prefix)) || [...keys, ...whereAbsent].includes(key);
  for (const key of [
    'events/etcd-guardian-system/a',
    'leases/etcd-guardian-system/of-others',
    'persistentvolumeclaims/etcd-guardian-system/data',
    'pods/etcd-guardian-system-2/a',
    'pods/default/etcdguardian-a',
    'secrets/etcd-guardian',
    'namespaces/default',
    'clusterroles/cluster-admin',
    'clusterroles/etcd-admins',
    'validatingwebhookconfigurations/others',
    'etcdguardian.io/etcdbackups/team/nightly',
    'apiextensions.k8s.io/customresourcedefinitions/widgets.example.com',
    'masterleases/10.0.0.1',
  ])
    assert.ok(!isOurs(`/registry/${key}`), key);
  for (const key of [
    'leases/etcd-guardian-system/etcdguardian-controlplane',
    'pods/etcd-guardian-system/etcdguardian-agent-x',
    'services/endpoints/etcd-guardian-system/etcdguardian-webhook',
    'endpointslices/etcd-guardian-system/etcdguardian-webhook-x',
    'secrets/etcd-guardian-system/s3',
    'etcdguardian.io/etcdbackups/etcd-guardian-system/nightly',
    'monitoring.coreos.com/servicemonitors/etcd-guardian-system/etcdguardian',
    'namespaces/etcd-guardian-system',
  ])
    assert.ok(isOurs(`/registry/${key}`), key);
});

test('an EtcdRestore of another namespace comes along, and that namespace where it is needed', () => {
  const place = { ...PLACE, prefix: '/elsewhere', asks: { namespace: 'team', name: 'back' } };
  const { keys, whereAbsent } = ownKeys(place);
  assert.ok(keys.includes('/elsewhere/etcdguardian.io/etcdrestores/team/back'));
  assert.deepEqual(whereAbsent, ['/elsewhere/namespaces/team']);
  assert.deepEqual(ownKeys(PLACE).whereAbsent, []);
});

test('in a namespace of Kubernetes itself only what is named after us is ours', () => {
  const { prefixes, keys } = ownKeys({ ...PLACE, namespace: 'kube-system' });
  assert.ok(prefixes.includes('/registry/pods/kube-system/etcdguardian'));
  assert.ok(prefixes.includes('/registry/etcdguardian.io/etcdrestores/kube-system/'));
  assert.deepEqual(
    prefixes.filter((prefix) => prefix.endsWith('/kube-system/') && !prefix.includes('/etcdguardian.io/')),
    [],
  );
  assert.ok(!keys.includes('/registry/namespaces/kube-system'));
});

/** Keys of all that install.yaml and the files of the chart have. */
async function installed(): Promise<string[]> {
  const root = join(import.meta.dirname, '..', '..', '..');
  const files = join(root, 'charts/etcdguardian/files');
  const names = await readdir(files, { recursive: true });
  const paths = [
    join(root, 'manifests/install.yaml'),
    ...names.filter((name) => name.endsWith('.yaml')).map((name) => join(files, name)),
  ];
  const documents = await Promise.all(
    paths.map(async (path) =>
      parseAllDocuments(await readFile(path, 'utf8')).map((one) => one.toJS() as unknown),
    ),
  );
  return documents.flat().flatMap((document) => {
    if (document === null) return [];
    const { apiVersion, kind, metadata } = object.parse(document);
    const [group = '', version] = apiVersion.split('/');
    const plural =
      kind === 'NetworkPolicy' ? 'networkpolicies' : `${kind.toLowerCase().replace(/y$/, 'ie')}s`;
    const directory =
      kind === 'CustomResourceDefinition'
        ? 'apiextensions.k8s.io/customresourcedefinitions'
        : directoryOf({ group: version === undefined ? '' : group, plural });
    const { name, namespace } = metadata;
    return [`/registry/${directory}/${namespace === undefined ? '' : `${namespace}/`}${name}`];
  });
}
