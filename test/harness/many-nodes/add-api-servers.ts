import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAuthority } from '../certificates.ts';
import { eventually } from '../eventually.ts';
import { ADMIN, apiServerFiles, DEFAULT_KUBERNETES, kubeconfigText } from '../kube-apiserver.ts';
import { type ApiRequest, type ApiResponse, requestApi } from '../kube-request.ts';
import { requireTool } from '../tools.ts';
import type { ManyNode, ManyNodes } from './start-nodes.ts';

/** The API server of a node, which speaks to the etcd of its node alone. */
export interface NodeApiServer {
  readonly node: ManyNode;
  readonly url: string;
  /** Of the administrator. */
  readonly kubeconfig: string;
  /** As the administrator; resolves whatever the status is, rejects where nobody answers. */
  request(method: string, path: string, options?: ApiRequest): Promise<ApiResponse>;
  isReady(): Promise<boolean>;
}

/** Runs an API server on each node, as a static pod, all with the same keys and users; resolves when they are ready. */
export async function addApiServers(scene: ManyNodes, stack: AsyncDisposableStack): Promise<NodeApiServer[]> {
  const authority = stack.use(await createAuthority('Kubernetes of many nodes'));
  const addresses = scene.nodes.map(({ place }) => place.address);
  const files = await apiServerFiles(scene.folder, [ADMIN], authority, [...addresses, '127.0.0.1']);
  const token = files.token(ADMIN.name);
  const servers = await Promise.all(
    scene.nodes.map(async (node): Promise<NodeApiServer> => {
      const { address } = node.place;
      const url = `https://${address}:6443`;
      await node.pods.add('kube-apiserver.yaml', [
        requireTool('kube-apiserver', DEFAULT_KUBERNETES),
        ...files.args.filter((arg) => !arg.startsWith('--cert-dir=')),
        `--cert-dir=${join(node.folder, 'certificates')}`,
        ...['--etcd-servers=https://127.0.0.1:2379', ...node.pki.apiServerFlags],
        ...['--secure-port=6443', `--bind-address=${address}`, `--advertise-address=${address}`],
      ]);
      const kubeconfig = join(node.folder, 'kubeconfig');
      await writeFile(kubeconfig, kubeconfigText(url, authority, token), { mode: 0o600 });
      const request: NodeApiServer['request'] = (method, path, options = {}) =>
        requestApi(url, authority.certificate, method, path, { token, ...options });
      const isReady = async (): Promise<boolean> =>
        await request('GET', '/readyz').then(
          ({ status }) => status === 200,
          () => false,
        );
      return { node, url, kubeconfig, request, isReady };
    }),
  );
  await untilReady(servers);
  return servers;
}

export async function untilReady(servers: readonly NodeApiServer[]): Promise<void> {
  for (const server of servers) {
    const { name, pods } = server.node;
    try {
      await eventually(`the API server of ${name} is ready`, () => server.isReady(), READY_MS);
    } catch (error) {
      throw new Error(pods.output('kube-apiserver.yaml').slice(-3_000), { cause: error });
    }
  }
}

/** Three of them start at the same time, on a machine that may have other work. */
const READY_MS = 240_000;
