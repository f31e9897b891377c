import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { processesWith } from '../../agent/restore/processes.ts';
import { type RestoreScene, startRestoreScene } from '../../agent/restore/restore-scene.fixture.ts';
import { systemClock } from '../../lib/clock.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { connectKube, type KubeConnection } from '../../lib/kubernetes/connect-kube.ts';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';
import { addAgentPods } from '../../test/harness/agent-pods.ts';
import type { Etcd } from '../../test/harness/etcd.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { type KubeApiServer, startKubeApiServer } from '../../test/harness/kube-apiserver.ts';
import { backups } from '../backup/backups.ts';
import { snapshotLocation } from '../backup/snapshot-location.ts';
import { authorityStore } from '../certificates/authority-store.ts';
import { CONFIG_MAPS, NAMESPACES, SECRETS } from '../core-resources.ts';
import { type LogLine, NAMESPACE, recordedLog } from '../installation.fixture.ts';
import { runControlPlane } from '../main.ts';
import { controlPlaneSettings } from '../settings.ts';
import { restoreController } from './restore-controller.ts';
import { RestoreRuns } from './restore-runs.ts';

/** A node as kubeadm makes one, its etcd and its API server as static pods, with our agent and control plane. */
export interface ClusterScene extends AsyncDisposable {
  readonly node: RestoreScene;
  readonly server: KubeApiServer;
  readonly kube: KubeConnection;
  readonly lines: LogLine[];
  /** How long etcd may take to come up, from the next restore on. */
  startWithin(ms: number): void;
  /** Ends this replica, and starts another that knows only what agents and API tell. What is led goes on. */
  replaceControlPlane(meanwhile?: () => Promise<void>): Promise<void>;
  backUp(name: string, spec?: object): Promise<EtcdBackup>;
  createRestore(name: string, spec: object, namespace?: string): Promise<EtcdRestore>;
  /** Also when the API server is away for a time. */
  restoreEnded(name: string, namespace?: string): Promise<EtcdRestore>;
  /** The place of a backup that the agent makes without any EtcdBackup. */
  backUpApart(): Promise<{ snapshotLocation: string; storageLocation: object; encryption: object }>;
  /** The first of these that completes. */
  oneCompleted(names: readonly string[]): Promise<EtcdRestore>;
  setConfig(name: string, value: string): Promise<void>;
  config(name: string): Promise<string | undefined>;
}

/** What a restore brings back is anywhere but in our own namespace. */
export const USERS = 'default';
/** Nothing is given up because the machine is slow. */
const PATIENT_MS = 180_000;
const ROOT = join(import.meta.dirname, '..', '..');

export async function startClusterScene(): Promise<ClusterScene> {
  await using starting = new AsyncDisposableStack();
  const api: { server?: KubeApiServer; kube?: KubeConnection } = {};
  const node = starting.use(
    await startRestoreScene({
      pki: async ({ endpoint, pods }) => {
        // Started once by hand, to learn its command line; then it is a static pod.
        const server = starting.use(await startKubeApiServer({ etcd: { endpoint } as Etcd }));
        const [found] = await processesWith('kube-apiserver', [`--etcd-servers=${endpoint}`]);
        await server.kill();
        await pods.add('kube-apiserver.yaml', found?.args ?? []);
        const kube = starting.use(await connectKube({ kubeconfig: server.kubeconfig, env: {} }));
        await eventually(
          'the API server is ready',
          async () => (await server.request('GET', '/readyz')).status === 200,
        );
        await kube.create(NAMESPACES, undefined, { metadata: { name: NAMESPACE } });
        const { metadata } = await kube.get<KubeObject>({ resource: NAMESPACES, name: 'kube-system' });
        const cluster = metadata.uid ?? '';
        const settings = { authoritySecret: 'etcdguardian-authority', trustConfigMap: 'etcdguardian-trust' };
        const scope = { cluster, namespace: NAMESPACE };
        const { bundle } = await authorityStore({ kube, clock: systemClock, scope, settings }).open(
          undefined,
        );
        Object.assign(api, { server, kube });
        return { authority: bundle.signer, cluster };
      },
    }),
  );
  const { server, kube } = api;
  if (server === undefined || kube === undefined) throw new Error('no API server');
  await server.kubectl('apply', '-f', join(ROOT, 'manifests/crds'));
  await addAgentPods(kube, NAMESPACE, [{ name: 'agent-node-1', nodeName: 'node-1', address: '127.0.0.1' }]);
  await kube.create(SECRETS, NAMESPACE, {
    metadata: { name: 's3' },
    stringData: { 'access-key-id': node.s3.accessKeyId, 'secret-access-key': node.s3.secretAccessKey },
  });
  await kube.create(SECRETS, NAMESPACE, {
    metadata: { name: 'key' },
    data: { key: Buffer.alloc(32, 7).toString('base64') },
  });
  const { log, lines } = recordedLog();
  const budgets = { startMs: PATIENT_MS };
  const port = node.agent.address.replace(/.*:/, '');
  const startReplica = (): { stop: () => Promise<void> } => {
    const ending = new AbortController();
    const runs = new RestoreRuns();
    const running = runControlPlane(
      controlPlaneSettings(
        {},
        {
          ...{ kubeconfig: server.kubeconfig, listenHost: '127.0.0.1', enrolmentPort: '0', pagesPort: '0' },
          ...{ podName: `replica-${randomUUID().slice(0, 8)}`, agentPort: port, agentPollMs: '500ms' },
          ...{ leaseDurationMs: '4s', renewDeadlineMs: '2s', retryPeriodMs: '200ms' },
          spoolDir: node.folder.join('control-plane-spool'),
        },
      ),
      {
        ...{ clock: systemClock, random: Math.random, log, signal: ending.signal, env: {} },
        controllers: [backups, (tools) => restoreController(tools, { runs, budgets })],
      },
    );
    running.catch(() => undefined);
    return {
      stop: async () => {
        ending.abort();
        await running.catch(() => undefined);
      },
    };
  };
  let replica = startReplica();
  starting.defer(() => replica.stop());
  const stack = starting.move();
  const location = {
    ...{
      provider: 'S3',
      bucket: 'backups',
      prefix: 'cluster',
      region: node.s3.region,
      endpoint: node.s3.endpoint,
    },
    credentialsSecret: 's3',
  };
  const encryption = { enabled: true, encryptionSecret: 'key' };
  const config = (name: string) => ({ resource: CONFIG_MAPS, namespace: USERS, name });
  return {
    ...{ node, server, kube, lines },
    startWithin(ms) {
      budgets.startMs = ms;
    },
    async replaceControlPlane(meanwhile) {
      await replica.stop();
      await meanwhile?.();
      replica = startReplica();
    },
    async backUp(name, spec = {}) {
      await kube.create(ETCD_BACKUP_RESOURCE, NAMESPACE, {
        ...{ apiVersion: ETCD_BACKUP_RESOURCE.apiVersion, kind: 'EtcdBackup', metadata: { name } },
        spec: { backupMode: 'Full', storageLocation: location, encryption, ...spec },
      });
      return await eventually(`${name} has ended`, async () => {
        const backup = await kube.get<EtcdBackup>({
          resource: ETCD_BACKUP_RESOURCE,
          namespace: NAMESPACE,
          name,
        });
        return ['Completed', 'Failed'].includes(backup.status?.phase ?? '') ? backup : undefined;
      });
    },
    async backUpApart() {
      const { location: store, cluster, point } = await node.backUp();
      const place = {
        store,
        cluster,
        timeline: point?.timeline ?? '',
        chain: point?.chain ?? '',
        revision: undefined,
      };
      return {
        snapshotLocation: snapshotLocation(place),
        storageLocation: { ...location, prefix: 'main' },
        encryption,
      };
    },
    createRestore: (name, spec, namespace = NAMESPACE) =>
      kube.create<EtcdRestore>(ETCD_RESTORE_RESOURCE, namespace, {
        ...{ apiVersion: ETCD_RESTORE_RESOURCE.apiVersion, kind: 'EtcdRestore', metadata: { name } },
        spec: { restoreMode: 'Full', ...spec },
      }),
    oneCompleted: (names) =>
      eventually(`one of ${names.join(', ')} completes`, async () => {
        for (const name of names) {
          const reference = { resource: ETCD_RESTORE_RESOURCE, namespace: NAMESPACE, name };
          const found = await kube.get<EtcdRestore>(reference).catch(() => undefined);
          if (found?.status?.phase === 'Completed') return found;
        }
        return undefined;
      }),
    restoreEnded: (name, namespace = NAMESPACE) =>
      eventually(`${name} has ended`, async () => {
        const { body, status } = await server.request(
          'GET',
          `/apis/etcdguardian.io/v1alpha1/namespaces/${namespace}/etcdrestores/${name}`,
        );
        const restore = body as EtcdRestore;
        return status === 200 && ['Completed', 'Failed'].includes(restore.status?.phase ?? '')
          ? restore
          : undefined;
      }),
    async setConfig(name, value) {
      await kube.delete(config(name)).catch(() => undefined);
      await kube.create(CONFIG_MAPS, USERS, { metadata: { name }, data: { value } });
    },
    async config(name) {
      const found = await kube
        .get<KubeObject & { data?: { value?: string } }>(config(name))
        .catch(() => undefined);
      return found?.data?.value;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
