import { execFileSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../../../lib/guardian-error.ts';
import { needs, requireTool } from '../tools.ts';
import { cgroupHierarchies } from './cgroups.ts';

/** What a node is made of; see `tools/pinned.ts`. */
export const CLUSTER_VERSIONS = {
  kubernetes: '1.36.3',
  etcd: '3.6.16',
  coredns: '1.14.2',
  containerd: '1.6.20',
};
const { kubernetes, etcd, coredns, containerd } = CLUSTER_VERSIONS;

export const NODE_PROGRAMS = [
  ...[
    'kubeadm',
    'kubelet',
    'kubectl',
    'kube-apiserver',
    'kube-controller-manager',
    'kube-scheduler',
    'kube-proxy',
  ].map((program) => `${program} ${kubernetes}`),
  ...[
    `etcd ${etcd}`,
    `etcdctl ${etcd}`,
    `coredns ${coredns}`,
    `pause ${coredns}`,
    `containerd ${containerd}`,
  ],
];

/** A file system with containerd, runc, network plugins and what they call, from Debian's packages. */
export function systemRoot(): string {
  return join(realpathSync(requireTool('containerd', containerd)), '..', '..', '..');
}

/**
 * Options for `test()`: skips the test, with its reason, on a machine that can't hold a node, in CI too. A missing tool is
 * another matter: like every tool's, it fails in CI.
 */
export function needsCluster(): { skip?: string } {
  const tools = needs(...NODE_PROGRAMS);
  if (tools.skip !== undefined) return tools;
  const reason = whyNoNode();
  return reason === undefined ? {} : { skip: `NOT RUN: no node can be started on this machine: ${reason}` };
}

/** In a few words; undefined where one can. */
function whyNoNode(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root';
  const hierarchies = cgroupHierarchies();
  if (typeof hierarchies === 'string') return hierarchies;
  // A missing tool is no property of the machine.
  const system = systemRoot();
  const trial = [
    ...['mount -t tmpfs none /mnt', 'mkdir /mnt/a /mnt/b /mnt/c /mnt/d'],
    'mount -t overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,workdir=/mnt/c none /mnt/d',
    ...['ip link add trial0 type veth peer name trial1', 'ip link add trial2 type bridge'],
    ...['nft add table ip t', 'nft add chain ip t c "{ type nat hook postrouting priority 100; }"'],
  ].map((command) => (/^(ip|nft) /.test(command) ? `chroot "$0" ${command}` : command));
  const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--fork'];
  try {
    execFileSync('unshare', [...namespaces, 'sh', '-c', trial.join(' && '), system], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return reasonOf(error).trim().split('\n').at(-1);
  }
}
