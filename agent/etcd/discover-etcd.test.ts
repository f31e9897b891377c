import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { agentSettings } from '../settings.ts';
import { discoverEtcd } from './discover-etcd.ts';
import type { EtcdPlace } from './etcd-place.ts';

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

/** A node with these files; `@` in them is its root. */
async function node(
  files: Record<string, string>,
  env: Record<string, string> = {},
): Promise<{ root: string; found: Promise<EtcdPlace> }> {
  const root = await mkdtemp(join(tmpdir(), 'discover-'));
  folders.push(root);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text.replaceAll('@', root));
  }
  const settings = agentSettings({
    ETCDGUARDIAN_NODE: 'node-1',
    ETCDGUARDIAN_MANIFESTS_DIR: join(root, 'manifests'),
    ETCDGUARDIAN_UNIT_DIRS: `${root}/etc ${root}/usr`,
    ETCDGUARDIAN_K3S_DIR: join(root, 'rancher'),
    ...Object.fromEntries(Object.entries(env).map(([name, text]) => [name, text.replaceAll('@', root)])),
  });
  return { root, found: discoverEtcd(settings) };
}

const KUBEADM = `apiVersion: v1
kind: Pod
metadata: { name: etcd, labels: { component: etcd } }
spec:
  containers:
  - name: etcd
    command:
    - etcd
    - --name=cp-1
    - --data-dir=/var/lib/etcd
    - --wal-dir=/var/lib/etcd/wal/deep
    - --listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379
    - --initial-advertise-peer-urls=https://10.0.0.1:2380
    - --initial-cluster=cp-1=https://10.0.0.1:2380
    - --cert-file=/etc/kubernetes/pki/etcd/server.crt
    - --key-file=/etc/kubernetes/pki/etcd/server.key
    - --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
    - --snapshot-count=10000
    volumeMounts:
    - { mountPath: /var/lib/etcd, name: data }
    - { mountPath: /var/lib/etcd/wal, name: wal }
    - { mountPath: /etc/kubernetes/pki/etcd, name: certs }
  volumes:
  - { hostPath: { path: '@/pki/etcd', type: DirectoryOrCreate }, name: certs }
  - { hostPath: { path: '@/data', type: DirectoryOrCreate }, name: data }
  - { hostPath: { path: '@/fast-disk/', type: DirectoryOrCreate }, name: wal }
`;
const API_SERVER =
  'kind: Pod\nmetadata: { name: kube-apiserver }\nspec: { containers: [{ name: kube-apiserver, command: [kube-apiserver] }] }\n';

test("kubeadm's static pod is found, with the node's paths and its client certificate for health checks", async () => {
  const { root, found } = await node({
    'manifests/etcd.yaml': KUBEADM,
    'manifests/kube-apiserver.yaml': API_SERVER,
    'manifests/.etcd.yaml.swp': 'nonsense',
    'manifests/broken.yaml': '{ [',
    'pki/etcd/healthcheck-client.crt': '',
    'pki/etcd/healthcheck-client.key': '',
  });
  assert.deepEqual(await found, {
    runsAs: 'STATIC_POD',
    runsFrom: `${root}/manifests/etcd.yaml`,
    name: 'cp-1',
    dataDir: `${root}/data`,
    walDir: `${root}/fast-disk/deep`,
    peerUrls: ['https://10.0.0.1:2380'],
    initialCluster: 'cp-1=https://10.0.0.1:2380',
    client: {
      endpoints: ['https://127.0.0.1:2379'],
      tls: {
        caFile: `${root}/pki/etcd/ca.crt`,
        certFile: `${root}/pki/etcd/healthcheck-client.crt`,
        keyFile: `${root}/pki/etcd/healthcheck-client.key`,
      },
    },
    apiServers: [`${root}/manifests/kube-apiserver.yaml`],
  });
});

test("without one for health checks, etcd's own certificate is a client's too", async () => {
  const { root, found } = await node({ 'manifests/etcd.yaml': KUBEADM });
  assert.equal((await found).client.tls?.certFile, `${root}/pki/etcd/server.crt`);
});

test('a manifest that keeps its settings in a file is followed there', async () => {
  const manifest = `kind: Pod
metadata: { name: etcd }
spec:
  containers:
  - { name: etcd, command: [/usr/local/bin/etcd, --config-file, /conf/etcd.yml, --name=ignored], volumeMounts: [{ name: c, mountPath: /conf }, { name: d, mountPath: /data }] }
  volumes: [{ name: c, hostPath: { path: '@/conf' } }, { name: d, hostPath: { path: '@/d' } }]
`;
  const config = `name: from-file
data-dir: /data/etcd
listen-client-urls: http://0.0.0.0:12379
client-transport-security: { cert-file: /conf/s.crt, key-file: /conf/s.key, trusted-ca-file: /conf/ca.crt }
`;
  const { root, found } = await node({ 'manifests/e.yaml': manifest, 'conf/etcd.yml': config });
  const { name, dataDir, client } = await found;
  assert.deepEqual(
    [name, dataDir, client.endpoints],
    ['from-file', `${root}/d/etcd`, ['http://127.0.0.1:12379']],
  );
  assert.equal(client.tls?.caFile, `${root}/conf/ca.crt`);
  const missing = await node({ 'manifests/e.yaml': manifest });
  await assert.rejects(missing.found, { code: 'agent.etcd-config', message: /conf\/etcd\.yml/ });
});

test('a unit of systemd is found, with environment file, drop-ins and quotes', async () => {
  const { root, found } = await node({
    'usr/etcd.service': 'hidden by the one in /etc',
    'etc/etcd.service': `[Unit]
Description=ExecStart=/not/this
[Service]
EnvironmentFile=-@/etc/etcd.env
Environment="ETCD_NAME=unit one" ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:1
WorkingDirectory=@/work
ExecStart=/usr/bin/etcd --wal-dir $WAL \\
  --initial-cluster "a b=http://x:2380" --data-dir='\${BASE}/data'
`,
    'etc/etcd.service.d/10.conf': '[Service]\nEnvironment=ETCD_LISTEN_CLIENT_URLS=http://[::]:2379\n',
    'etc/etcd.env': '# a comment\nBASE="relative"\nWAL=/wal\nETCD_QUOTA_BACKEND_BYTES=1\n',
    'etc/kube-apiserver.service': '[Service]\nExecStart=/usr/bin/kube-apiserver\n',
  });
  const place = await found;
  assert.deepEqual(
    [place.runsAs, place.runsFrom, place.name, place.dataDir, place.walDir, place.initialCluster],
    ['SYSTEMD_UNIT', 'etcd.service', 'unit one', `${root}/work/relative/data`, '/wal', 'a b=http://x:2380'],
  );
  assert.deepEqual(place.client, { endpoints: ['http://[::1]:2379'] });
  assert.deepEqual(place.apiServers, ['kube-apiserver.service']);
});

test('k3s and RKE2 are recognised, and that nothing here can stop them', async () => {
  const { root, found } = await node({ 'rancher/rke2/server/db/etcd/member/snap/db': '' });
  const place = await found;
  assert.deepEqual([place.runsAs, place.runsFrom], ['RUNS_AS_UNKNOWN', 'rke2']);
  assert.equal(place.client.tls?.caFile, `${root}/rancher/rke2/server/tls/etcd/server-ca.crt`);
});

test('what the settings say wins over what was found, and is enough alone', async () => {
  const env = { ETCDGUARDIAN_ETCD_ENDPOINTS: 'https://10.9.9.9:2379', ETCDGUARDIAN_ETCD_CA: '/ca' };
  const over = await (await node({ 'manifests/etcd.yaml': KUBEADM }, env)).found;
  assert.deepEqual(
    [over.runsAs, over.client.endpoints, over.client.tls?.caFile],
    ['STATIC_POD', ['https://10.9.9.9:2379'], '/ca'],
  );
  const alone = await (await node({}, { ...env, ETCDGUARDIAN_ETCD_DATA_DIR: '/d' })).found;
  assert.deepEqual([alone.runsAs, alone.dataDir], ['BY_SETTINGS', '/d']);
});

test('where there is none, it says where it looked', async () => {
  const { root, found } = await node({ 'manifests/kube-apiserver.yaml': API_SERVER });
  await assert.rejects(found, {
    code: 'agent.no-etcd',
    message: new RegExp(`${root}/manifests.*etcd\\.service.*rancher`),
  });
});
