import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readKeys } from '../../agent/restore/read-keys.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { Grafts } from '../../lib/restore/grafts.ts';
import { type KeyReader, readOwnObjects } from '../../lib/restore/own/read-own-objects.ts';
import { restoreOffline } from '../../lib/restore/offline-restore.ts';
import { BUMP_MARGIN } from '../../lib/restore/restore-plan.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import {
  KUBE_PROGRAMS,
  type KubeApiServer,
  KUBERNETES_VERSIONS,
  startKubeApiServer,
} from '../harness/kube-apiserver.ts';
import { sample } from '../harness/sampling.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const OURS = 'etcd-guardian-system';
const ROOT = join(import.meta.dirname, '..', '..');

for (const version of sample(KUBERNETES_VERSIONS, 1, 'own objects')) {
  test(
    `kube-apiserver ${version}: EtcdGuardian is as it was before a restore to a time that didn't know it`,
    needs(...KUBE_PROGRAMS, `kube-apiserver ${version}`, 'etcdctl 3.6.16'),
    async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd();
      await using server = await startKubeApiServer({ version, etcd });
      // A time with something of an older version of ours, and something of others that is named alike.
      await create(server, 'clusterrole', 'etcdguardian-of-old', '--verb=get', '--resource=pods');
      await create(server, 'clusterrole', 'etcd-admin', '--verb=get', '--resource=pods');
      await create(server, 'service', 'clusterip', 'other', '--tcp=80', '--namespace=default');
      const file = folder.join('snapshot.db');
      await etcd.etcdctl('snapshot', 'save', file);
      await server.kubectl('delete', 'clusterrole', 'etcdguardian-of-old', 'etcd-admin');

      await install(server);
      const address = await addressOf(server);
      const grafts = await ownGrafts(etcd);
      const revision = await goBack(etcd, file, grafts);
      await server.restart();

      assert.equal(await addressOf(server), address);
      const names = await server.kubectl(
        ...['get', '--all-namespaces', '--output=name'],
        'namespaces,services,secrets,clusterroles,clusterrolebindings,etcdrestores,validatingwebhookconfigurations',
      );
      for (const name of [
        ...[`namespace/${OURS}`, 'namespace/team', 'service/etcdguardian-webhook', 'service/other'],
        ...['secret/store', 'clusterrole.rbac.authorization.k8s.io/etcdguardian-controlplane'],
        ...['etcdrestore.etcdguardian.io/back', 'clusterrole.rbac.authorization.k8s.io/etcd-viewer'],
        'validatingwebhookconfiguration.admissionregistration.k8s.io/etcdguardian',
        // Of others: as it was.
        'clusterrole.rbac.authorization.k8s.io/etcd-admin',
      ])
        assert.match(names, new RegExp(`^${name.replaceAll('.', '\\.')}$`, 'm'));
      assert.doesNotMatch(names, /namespace\/newer|etcdguardian-of-old|secret\/newer/);
      // What it was, not what another time made of it.
      const rules = await server.kubectl(
        'get',
        'clusterrole',
        'etcd-admin',
        '--output=jsonpath={.rules[*].resources}',
      );
      assert.equal(rules, '["pods"]');

      // Nobody else gets the address, whichever way the API server remembers it.
      await assert.rejects(
        create(server, 'service', 'clusterip', 'thief', '--tcp=80', `--clusterip=${address}`),
        /already allocated/,
      );
      await create(server, 'service', 'clusterip', 'another', '--tcp=80');
      const listed = await server.kubectl(
        'get',
        'services',
        '--all-namespaces',
        '--output=jsonpath={.items[*].spec.clusterIP}',
      );
      const addresses = listed.split(' ');
      assert.equal(new Set(addresses).size, addresses.length);
      // From 1.33 on addresses are objects, before they were bits of one.
      if (Number(version.split('.')[1]) >= 33) {
        const parent = '--output=jsonpath={.spec.parentRef.namespace}/{.spec.parentRef.name}';
        assert.equal(
          await server.kubectl('get', 'ipaddress', address, parent),
          `${OURS}/etcdguardian-webhook`,
        );
      }
      // It can be changed, and its resource version is above everything.
      await server.kubectl('label', 'service', 'etcdguardian-webhook', `--namespace=${OURS}`, 'touched=yes');
      const touched = [
        'service',
        'etcdguardian-webhook',
        `--namespace=${OURS}`,
        '--output=jsonpath={.metadata.resourceVersion}',
      ];
      assert.ok(BigInt(await server.kubectl('get', ...touched)) > revision);
    },
  );
}

/** As the chart would, in short; and the EtcdRestore in a namespace that is younger than the data. */
async function install(server: KubeApiServer): Promise<void> {
  for (const name of [OURS, 'team', 'newer']) await create(server, 'namespace', name);
  await server.kubectl('apply', '-f', join(ROOT, 'manifests/crds'));
  await create(server, 'secret', 'generic', 'store', '--from-literal=key=secret', `--namespace=${OURS}`);
  await create(server, 'secret', 'generic', 'newer', '--from-literal=key=secret', '--namespace=default');
  await create(server, 'service', 'clusterip', 'etcdguardian-webhook', '--tcp=443', `--namespace=${OURS}`);
  await create(server, 'clusterrole', 'etcdguardian-controlplane', '--verb=get', '--resource=secrets');
  await create(server, 'clusterrole', 'etcd-viewer', '--verb=get', '--resource=secrets');
  await server.kubectl('label', 'clusterrole', 'etcd-viewer', 'app.kubernetes.io/name=etcdguardian');
  // Of others, by chance of this name.
  await create(server, 'clusterrole', 'etcd-admin', '--verb=get', '--resource=secrets');
  const restore = {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdRestore' },
    ...{ metadata: { name: 'back', namespace: 'team' }, spec: { restoreMode: 'Full', backupName: 'x' } },
  };
  await eventually('EtcdRestores are served', async () => {
    const path = '/apis/etcdguardian.io/v1alpha1/namespaces/team/etcdrestores';
    return (await server.request('POST', path, { body: restore })).status === 201;
  });
  await server.kubectl(
    'apply',
    '-f',
    join(ROOT, 'charts/etcdguardian/files/admission/validating-webhook.yaml'),
  );
}

async function create(server: KubeApiServer, ...args: readonly string[]): Promise<void> {
  await server.kubectl('create', ...args);
}

async function addressOf(server: KubeApiServer): Promise<string> {
  const output = '--output=jsonpath={.spec.clusterIP}';
  return await server.kubectl('get', 'service', 'etcdguardian-webhook', `--namespace=${OURS}`, output);
}

async function ownGrafts(etcd: Etcd): Promise<Grafts> {
  await using client = connectEtcd({ endpoints: [etcd.endpoint] });
  const place = {
    ...{ prefix: '/registry', namespace: OURS, lease: 'etcdguardian-controlplane', customResources: [] },
    asks: { namespace: 'team', name: 'back' },
  };
  const { signal } = new AbortController();
  const agent: KeyReader = {
    readKeys: ({ keys = [], prefixes = [] }) =>
      readKeys(client, { keys: keys.map(copied), prefixes: prefixes.map(copied) }, signal),
  };
  const { grafts = [], graftPrefixes = [] } = await readOwnObjects(place, agent, signal);
  return {
    items: grafts.map(({ key = copied(''), value = copied(''), whereAbsent }) => ({
      key,
      value,
      whereAbsent,
    })),
    prefixes: graftPrefixes,
  };
}

function copied(bytes: Uint8Array | string): Buffer<ArrayBuffer> {
  return Buffer.from(bytes as string);
}

/** Resolves to the revision that it begins at. */
async function goBack(etcd: Etcd, file: string, grafts: Grafts): Promise<bigint> {
  const { revision } = await etcd.status();
  const { size } = await stat(file);
  await etcd.kill();
  await rm(etcd.dataDir, { recursive: true });
  const member = { name: etcd.name, peerUrls: [etcd.peerUrl] };
  const restored = await restoreOffline(
    { label: 'a snapshot', open: () => createReadStream(file), size, trailer: 'required' },
    {
      ...{
        members: [member],
        dirs: [{ member, dataDir: etcd.dataDir, walDir: undefined }],
        token: 'restored',
      },
      ...{ bumpTo: revision + BUMP_MARGIN, grafts },
    },
    { onStep: () => undefined },
  );
  await etcd.restart();
  return restored.revision;
}
