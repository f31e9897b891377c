import { createReadStream } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { imageArchive } from '../../../tools/image/image-archive.ts';
import { thisArchitecture } from '../../../tools/image/this-architecture.ts';
import { runProgram } from '../run-program.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { requireTool } from '../tools.ts';
import { AUDIT, kubeadmSettings } from './kubeadm-settings.ts';
import { type Node, startNode } from './node.ts';
import { nodeImages } from './node-images.ts';
import { CLUSTER_VERSIONS } from './node-system.ts';

/** A Kubernetes cluster of one node, as `kubeadm init` makes it. */
export interface Cluster extends AsyncDisposable {
  /** The node's name. */
  readonly name: string;
  readonly nodeAddress: string;
  /** Where pods, and the node, reach servers of the test process. */
  readonly hostAddress: string;
  /** The node's `/` as we see it: what lies on its disk, not what is mounted inside. */
  readonly root: string;
  /** Of the administrator. */
  readonly kubeconfig: string;
  /** As the administrator; resolves to stdout. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** Writes a file that is kept until the end, and resolves to its path. */
  file(name: string, text: string): Promise<string>;
  /** Runs a program in the node as root; resolves to its stdout. */
  exec(command: string, ...args: readonly string[]): Promise<string>;
  /** Puts the images of an archive where the kubelet finds them. */
  importImages(archive: string | AsyncIterable<Uint8Array>): Promise<void>;
  /** The last lines of what the kubelet said. */
  kubeletLog(): Promise<string>;
  /** What the API server has written by its audit policy up to now: one event in JSON per line. */
  auditLog(): Promise<string>;
}

export interface ClusterOptions {
  /** An archive of images that its pods can be made of; comes in while the cluster starts. */
  readonly images?: AsyncIterable<Uint8Array>;
  /** What the API server notes of requests (audit.k8s.io/v1 Policy); none: nothing. */
  readonly auditPolicy?: object;
}

/**
 * Starts a cluster whose own pods are all ready:  `await using cluster = await startCluster();`
 *
 * Real kubelet, containerd and runc; etcd and the control plane as static pods; kube-proxy, CoreDNS; nothing comes from a
 * registry. All of it is in namespaces of its own, and ends with the test process; what a killed one leaves (empty
 * cgroups) is removed by the next.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const node = stack.use(await startNode());
  const folder = stack.use(await temporaryFolder());
  const kubeconfig = folder.join('kubeconfig');
  const kubectl = async (...args: readonly string[]): Promise<string> =>
    runProgram(requireTool('kubectl', CLUSTER_VERSIONS.kubernetes), [`--kubeconfig=${kubeconfig}`, ...args], {
      env: { ...process.env, HOME: folder.path, KUBECACHEDIR: folder.join('cache') },
    });
  const cluster: Cluster = {
    ...{ name: node.place.name, nodeAddress: node.place.nodeAddress, hostAddress: node.place.hostAddress },
    ...{ root: node.root, kubeconfig, kubectl },
    async file(name, text) {
      const path = folder.join(name);
      await writeFile(path, text, { mode: 0o600 });
      return path;
    },
    exec: (command, ...args) => node.exec(command, ...args),
    async importImages(archive) {
      const bytes = typeof archive === 'string' ? createReadStream(archive) : archive;
      await node.feed(
        bytes as AsyncIterable<Uint8Array>,
        'ctr',
        '-n',
        'k8s.io',
        'images',
        'import',
        '--no-unpack',
        '-',
      );
    },
    kubeletLog: async () => (await readFile(join(node.root, 'var/log/kubelet.log'), 'utf8')).slice(-20_000),
    auditLog: () => readFile(join(node.root, AUDIT.log), 'utf8'),
    [Symbol.asyncDispose]: () => disposables.disposeAsync(),
  };

  await cluster.importImages(imageArchive(nodeImages(), thisArchitecture()));
  await Promise.all([
    options.images === undefined ? undefined : cluster.importImages(options.images),
    (async () => {
      await initialise(node, options.auditPolicy);
      await copyFile(join(node.root, 'etc/kubernetes/admin.conf'), kubeconfig);
      await waitUntilReady(cluster);
    })(),
  ]);
  const disposables = stack.move();
  return cluster;
}

async function initialise(node: Node, auditPolicy: object | undefined): Promise<void> {
  const audited = auditPolicy !== undefined;
  await writeFile(join(node.root, 'root/kubeadm.yaml'), kubeadmSettings(node.place, { audited }));
  if (audited) {
    await mkdir(dirname(join(node.root, AUDIT.policy)), { recursive: true });
    await writeFile(join(node.root, AUDIT.policy), JSON.stringify(auditPolicy));
  }
  // Its checks are for machines: they want the machine's own kernel settings, a systemd unit, and so on.
  const command = [
    'kubeadm',
    'init',
    '--config=/root/kubeadm.yaml',
    '--skip-phases=preflight,show-join-command',
  ];
  await node
    .exec('sh', '-c', `${command.join(' ')} >/var/log/kubeadm.log 2>&1`)
    .catch(async (cause: unknown) => {
      const said = await readFile(join(node.root, 'var/log/kubeadm.log'), 'utf8');
      throw new Error(`kubeadm init failed:\n${said.slice(-4_000)}`, { cause });
    });
}

async function waitUntilReady(cluster: Cluster): Promise<void> {
  const kubectl = (...args: readonly string[]): Promise<string> => cluster.kubectl(...args);
  const inSystem = ['--namespace=kube-system', '--timeout=120s'];
  const components = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
  await Promise.all([
    kubectl('wait', '--for=condition=Ready', '--timeout=120s', `node/${cluster.name}`),
    kubectl('rollout', 'status', ...inSystem, 'daemonset/kube-proxy'),
    kubectl('rollout', 'status', ...inSystem, 'deployment/coredns'),
    ...components.map(async (component) => {
      const pod = `pod/${component}-${cluster.name}`;
      // The kubelet tells the API server of its static pods late.
      await kubectl('wait', '--for=create', ...inSystem, pod);
      await kubectl('wait', '--for=condition=Ready', ...inSystem, pod);
    }),
  ]);
}
