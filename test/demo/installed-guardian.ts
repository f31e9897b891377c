import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { eventually } from '../harness/eventually.ts';
import { freePort } from '../harness/free-port.ts';
import { type ServerProcess, startProcess } from '../harness/server-process.ts';
import { kubeconfigOf, type RealCluster } from './real-cluster.ts';

const root = join(import.meta.dirname, '..', '..');
const NAMESPACE = 'etcd-guardian-system';
const NODE = 'demo-node';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly webhooks?: readonly { readonly clientConfig: { readonly service: object } }[];
}

/**
 * manifests/install.yaml applied, and our three processes as pods would run them, each with the rights of its own service
 * account: no kubelet is here to start pods, so that this plays kubelet, down to the agent's pod and token.
 */
export async function installGuardian(cluster: RealCluster): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const webhookPort = await freePort();
  await cluster.file('install.yaml', JSON.stringify(await manifestsFor(webhookPort)));
  await ran(cluster, ['apply', '--server-side', '-f', 'install.yaml']);
  const settings = { ETCDGUARDIAN_LISTEN_HOST: '127.0.0.1', ETCDGUARDIAN_ALLOWED_ENDPOINTS: '127.0.0.1' };

  // The control plane makes the authority, the webhook's certificate and what the agents trust.
  const enrolmentPort = await freePort();
  const agentPort = await freePort();
  const controlPlane = stack.use(
    await startGuardian(cluster, 'controlplane', {
      ...settings,
      ETCDGUARDIAN_KUBECONFIG: await ownKubeconfig(cluster, 'controlplane'),
      POD_NAME: 'etcdguardian-controlplane-demo',
      ETCDGUARDIAN_ENROLMENT_PORT: String(enrolmentPort),
      ETCDGUARDIAN_PAGES_PORT: '0',
      ETCDGUARDIAN_AGENT_PORT: String(agentPort),
      ETCDGUARDIAN_AGENT_POLL: '1s',
      ETCDGUARDIAN_SPOOL_DIR: cluster.folder.join('spool'),
    }),
  );
  const tls = await mounted(cluster, 'secret', 'etcdguardian-webhook-tls', ['tls.crt', 'tls.key', 'ca.crt']);
  const trust = await mounted(cluster, 'configmap', 'etcdguardian-trust', ['ca.crt']);

  const [webhook, agent] = await Promise.all([
    startGuardian(cluster, 'webhook', {
      ...settings,
      ETCDGUARDIAN_KUBECONFIG: await ownKubeconfig(cluster, 'webhook'),
      ETCDGUARDIAN_TLS_DIR: tls,
      ETCDGUARDIAN_WEBHOOK_PORT: String(webhookPort),
      ETCDGUARDIAN_DRAIN_SECONDS: '0',
      ETCDGUARDIAN_PAGES_PORT: '0',
    }).then((started) => stack.use(started)),
    startGuardian(cluster, 'agent', {
      ...settings,
      ETCDGUARDIAN_NODE: NODE,
      ETCDGUARDIAN_STATE_DIR: cluster.folder.join('agent'),
      ETCDGUARDIAN_ENROL_URL: `https://127.0.0.1:${enrolmentPort}/enrol`,
      ETCDGUARDIAN_TOKEN_FILE: await agentToken(cluster),
      ETCDGUARDIAN_TRUST_FILE: join(trust, 'ca.crt'),
      ETCDGUARDIAN_PORT: String(agentPort),
      ETCDGUARDIAN_PAGES_PORT: '0',
      ETCDGUARDIAN_MANIFESTS_DIR: cluster.folder.join('no-static-pods'),
      ETCDGUARDIAN_UNIT_DIRS: cluster.folder.join('no-units'),
      ETCDGUARDIAN_K3S_DIR: cluster.folder.join('no-k3s'),
      ETCDGUARDIAN_ETCD_ENDPOINTS: cluster.etcd.endpoint,
      ETCDGUARDIAN_ETCD_DATA_DIR: cluster.etcd.dataDir,
      ETCDGUARDIAN_ETCD_CA: cluster.etcdFiles.ca,
      ETCDGUARDIAN_ETCD_CERT: cluster.etcdFiles.cert,
      ETCDGUARDIAN_ETCD_KEY: cluster.etcdFiles.key,
    }).then((started) => stack.use(started)),
  ]);
  await Promise.all([
    controlPlane.line(/"event":"leader"/),
    webhook.line(/"event":"listening"/),
    agent.line(/"event":"serving"/),
  ]);
  await eventually('the API server asks the webhook', () => isStamped(cluster));
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Whether a backup that is only tried has been through the webhook. */
async function isStamped(cluster: RealCluster): Promise<boolean> {
  const path = '/apis/etcdguardian.io/v1alpha1/namespaces/default/etcdbackups?dryRun=All';
  const storageLocation = { provider: 'S3', bucket: 'backups', region: 'us-east-1' };
  const { body } = await cluster.kube.request('POST', path, {
    body: {
      ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup', metadata: { name: 'probe' } },
      spec: { backupMode: 'Full', storageLocation },
    },
  });
  return Stamped.safeParse(body).success;
}

const Stamped = z.object({ spec: z.object({ requestedBy: z.object({ username: z.string() }) }) });

/** As shipped, but no Deployments, which nobody would run, and the webhook's Service leads to this machine. */
async function manifestsFor(webhookPort: number): Promise<object> {
  const text = await readFile(join(root, 'manifests', 'install.yaml'), 'utf8');
  const manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest | null);
  const items = manifests.flatMap((manifest) => {
    if (manifest === null || ['Deployment', 'PodDisruptionBudget'].includes(manifest.kind)) return [];
    if (manifest.kind === 'Service' && manifest.metadata.name === 'etcdguardian-webhook')
      return [{ ...manifest, spec: { type: 'ExternalName', externalName: 'localhost' } }];
    const webhooks = manifest.webhooks?.map(({ clientConfig, ...rest }) => ({
      ...rest,
      clientConfig: { ...clientConfig, service: { ...clientConfig.service, port: webhookPort } },
    }));
    return [webhooks === undefined ? manifest : { ...manifest, webhooks }];
  });
  return { apiVersion: 'v1', kind: 'List', items };
}

async function startGuardian(
  cluster: RealCluster,
  command: 'agent' | 'controlplane' | 'webhook',
  env: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  const path = [dirname(process.execPath), process.env.PATH].join(delimiter);
  return startProcess(join(root, 'bin', 'etcdguardian'), [command], {
    env: { ...process.env, HOME: cluster.folder.path, PATH: path, ...env },
  });
}

/** With nothing but the rights of its service account. */
async function ownKubeconfig(cluster: RealCluster, component: string): Promise<string> {
  const account = `etcdguardian-${component}`;
  const token = await ran(cluster, ['create', 'token', account, '-n', NAMESPACE]);
  return kubeconfigOf(cluster.kube, token.trim(), cluster.folder.join(`kubeconfig-${component}`));
}

/** Kubelet's part: the entries of a Secret or ConfigMap as files, as soon as it is there. */
async function mounted(
  cluster: RealCluster,
  kind: 'secret' | 'configmap',
  name: string,
  entries: readonly string[],
): Promise<string> {
  const data = await eventually(`${kind} ${name} is there`, async () => {
    const path = `/api/v1/namespaces/${NAMESPACE}/${kind}s/${name}`;
    const found = Data.parse((await cluster.kube.request('GET', path)).body);
    return entries.every((entry) => found.data[entry] !== undefined) && found.data;
  });
  const folder = cluster.folder.join(name);
  await mkdir(folder, { mode: 0o700 });
  for (const entry of entries) {
    const bytes = Buffer.from(data[entry] ?? '', kind === 'secret' ? 'base64' : 'utf8');
    await writeFile(join(folder, entry), bytes, { mode: 0o600 });
  }
  return folder;
}

const Data = z.object({ data: z.record(z.string(), z.string()).default({}) });
const Uid = z.object({ metadata: z.object({ uid: z.string() }) });

/** The part of the DaemonSet's controller, the scheduler and kubelet: a pod, its address, and its projected token. */
async function agentToken(cluster: RealCluster): Promise<string> {
  const name = 'etcdguardian-agent-demo';
  const get = async (path: string): Promise<z.output<typeof Uid>> =>
    Uid.parse((await cluster.kube.request('GET', path)).body);
  const daemonSet = await get(`/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets/etcdguardian-agent`);
  const labels = { 'app.kubernetes.io/name': 'etcdguardian', 'app.kubernetes.io/component': 'agent' };
  const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'etcdguardian-agent', controller: true };
  const pods = `/api/v1/namespaces/${NAMESPACE}/pods`;
  await cluster.kube.request('POST', pods, {
    body: {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name, labels, ownerReferences: [{ ...owner, uid: daemonSet.metadata.uid }] },
      spec: {
        nodeName: NODE,
        serviceAccountName: 'etcdguardian-agent',
        containers: [{ name: 'agent', image: 'etcdguardian/operator' }],
      },
    },
  });
  await cluster.kube.request('PATCH', `${pods}/${name}/status`, {
    contentType: 'application/merge-patch+json',
    body: { status: { phase: 'Running', podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] } },
  });
  const pod = await get(`${pods}/${name}`);
  const token = await ran(cluster, [
    ...['create', 'token', 'etcdguardian-agent', '-n', NAMESPACE, '--audience=etcdguardian-enrolment'],
    ...['--bound-object-kind=Pod', `--bound-object-name=${name}`, `--bound-object-uid=${pod.metadata.uid}`],
  ]);
  const file = cluster.folder.join('agent-token');
  await writeFile(file, token.trim(), { mode: 0o600 });
  return file;
}

async function ran(cluster: RealCluster, args: readonly string[]): Promise<string> {
  return cluster.kube.kubectl(
    ...args.map((arg) => (arg === 'install.yaml' ? cluster.folder.join(arg) : arg)),
  );
}
