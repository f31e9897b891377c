import { join } from 'node:path';
import { authorityStore } from '../../../controlplane/certificates/authority-store.ts';
import { NAMESPACES, SECRETS } from '../../../controlplane/core-resources.ts';
import { systemClock } from '../../../lib/clock.ts';
import { connectKube, type KubeConnection } from '../../../lib/kubernetes/connect-kube.ts';
import type { KubeObject } from '../../../lib/kubernetes/kube-client.ts';
import { saveCredentials } from '../../../lib/pki/credential-folder.ts';
import { agentOf, credentialsFor } from '../../../lib/pki/installation.fixture.ts';
import { addAgentPods } from '../agent-pods.ts';
import { DEFAULT_KUBERNETES } from '../kube-apiserver.ts';
import { runProgram } from '../run-program.ts';
import { type ServerProcess, startProcess } from '../server-process.ts';
import { requireTool } from '../tools.ts';
import type { NodeApiServer } from './add-api-servers.ts';
import type { ManyNodes } from './start-nodes.ts';

/** EtcdGuardian as it is in a cluster, but for the webhook: what its namespace has, agents on all nodes, a control plane. */
export interface ControlPlane {
  readonly namespace: string;
  /** As the administrator, by the first API server. */
  readonly kube: KubeConnection;
  /** Of an EtcdBackup, or an EtcdRestore. */
  readonly storageLocation: object;
  readonly encryption: object;
  /** A replica in a process of its own. */
  startReplica(name: string): Promise<ServerProcess>;
}

const ROOT = join(import.meta.dirname, '..', '..', '..');
const NAMESPACE = 'etcd-guardian-system';

export async function addControlPlane(
  scene: ManyNodes,
  [server]: readonly NodeApiServer[],
  stack: AsyncDisposableStack,
): Promise<ControlPlane> {
  if (server === undefined) throw new Error('no API server');
  const { kubeconfig } = server;
  const kube = stack.use(await connectKube({ kubeconfig, env: {} }));
  const kubectl = requireTool('kubectl', DEFAULT_KUBERNETES);
  await runProgram(kubectl, [`--kubeconfig=${kubeconfig}`, 'apply', '-f', join(ROOT, 'manifests/crds')]);
  await kube.create(NAMESPACES, undefined, { metadata: { name: NAMESPACE } });
  await enrolAgents(scene, kube);
  await addAgentPods(
    kube,
    NAMESPACE,
    scene.nodes.map(({ name: nodeName, place: { address } }) => ({
      ...{ name: `etcdguardian-agent-${nodeName}`, nodeName, address },
    })),
  );
  const { s3 } = scene;
  await kube.create(SECRETS, NAMESPACE, {
    metadata: { name: 's3' },
    stringData: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
  });
  await kube.create(SECRETS, NAMESPACE, {
    metadata: { name: 'key' },
    data: { key: Buffer.alloc(32, 7).toString('base64') },
  });
  return {
    ...{ namespace: NAMESPACE, kube },
    storageLocation: {
      ...{ provider: 'S3', bucket: 'backups', prefix: 'cluster', region: s3.region, endpoint: s3.endpoint },
      credentialsSecret: 's3',
    },
    encryption: { enabled: true, encryptionSecret: 'key' },
    async startReplica(name) {
      const replica = await startProcess(process.execPath, [
        join(ROOT, 'cli/main.ts'),
        ...['controlplane', '--kubeconfig', kubeconfig, '--namespace', NAMESPACE, '--pod-name', name],
        ...['--listen-host', '127.0.0.1', '--pages-port', '0', '--enrolment-port', '0'],
        ...['--agent-poll', '500ms', '--spool-dir', scene.folder.join(name)],
        ...['--lease-duration', '4s', '--renew-deadline', '2s', '--retry-period', '200ms'],
      ]);
      return stack.use(replica);
    },
  };
}

/** Gives all agents certificates of this installation's own authority, which the control plane makes when it first runs. */
async function enrolAgents({ nodes }: ManyNodes, kube: KubeConnection): Promise<void> {
  const { metadata } = await kube.get<KubeObject>({ resource: NAMESPACES, name: 'kube-system' });
  const cluster = metadata.uid ?? '';
  const settings = { authoritySecret: 'etcdguardian-authority', trustConfigMap: 'etcdguardian-trust' };
  const scope = { cluster, namespace: NAMESPACE };
  const { bundle } = await authorityStore({ kube, clock: systemClock, scope, settings }).open(undefined);
  for (const { name, folder, agent } of nodes) {
    await agent.kill();
    await saveCredentials(
      join(folder, 'credentials'),
      await credentialsFor(bundle.signer, agentOf(name, cluster)),
    );
    await agent.start();
  }
}
