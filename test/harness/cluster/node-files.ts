import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NODE_IMAGES } from './node-images.ts';
import type { NodePlace } from './node-place.ts';
import { systemRoot } from './node-system.ts';

const FOLDERS = [
  ...['proc', 'sys', 'dev', 'run', 'usr', 'root', 'tmp', 'home', 'mnt', 'srv'],
  ...['opt/kubernetes/bin', 'opt/cni/bin', 'etc/kubernetes/manifests', 'etc/ssl/certs'],
  ...['var/lib/kubelet', 'var/lib/etcd', 'var/lib/containerd', 'var/log', 'var/tmp', 'var/cache'],
];

/** The machine's own settings that the kubelet wants to have set. */
const SYSCTLS = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
};

export interface NodeFiles {
  /** The node's `/`, as far as it lies on disk. */
  readonly root: string;
  /** What `enter-node.sh` needs beside it. */
  readonly own: string;
}

/** Writes a node's `/` into an empty folder: everything but what is mounted into it. */
export async function writeNodeFiles(folder: string, place: NodePlace): Promise<NodeFiles> {
  const root = join(folder, 'root');
  const own = join(folder, 'own');
  const system = systemRoot();
  for (const name of FOLDERS) await mkdir(join(root, name), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(root, name));
  await symlink('/run', join(root, 'var/run'));
  await chmod(join(root, 'var/lib/etcd'), 0o700);
  for (const name of ['tmp', 'var/tmp']) await chmod(join(root, name), 0o1777);
  await cp(join(system, 'etc'), join(root, 'etc'), { recursive: true, verbatimSymlinks: true });
  for (const plugin of await readdir(join(system, 'usr/lib/cni')))
    await copyFile(join(system, 'usr/lib/cni', plugin), join(root, 'opt/cni/bin', plugin));
  await copyFile(join(import.meta.dirname, 'run-node.sh'), join(root, 'opt/kubernetes/run-node.sh'));

  await writeUsr(join(own, 'upper'), system);
  await mkdir(join(own, 'work'), { recursive: true });
  for (const [name, value] of Object.entries(SYSCTLS)) await write(own, `sysctl/${name}`, `${value}\n`);
  for (const [name, text] of Object.entries(settings(place))) await write(root, `etc/${name}`, text);
  return { root, own };
}

/** What Debian's packages leave to their installation: the names of programs, and the names of a shell's commands. */
async function writeUsr(upper: string, system: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib/modules']) await mkdir(join(upper, name), { recursive: true });
  for (const family of ['iptables', 'ip6tables'])
    for (const command of ['', '-save', '-restore'])
      await symlink('xtables-nft-multi', join(upper, 'sbin', `${family}${command}`));
  for (const command of [
    'sh',
    'env',
    'cat',
    'ls',
    'kill',
    'sleep',
    'hostname',
    'rmdir',
    'mkdir',
    'rm',
    'mv',
    'cp',
  ])
    if (!existsSync(join(system, 'usr/bin', command))) await symlink('busybox', join(upper, 'bin', command));
}

function settings(place: NodePlace): Record<string, string> {
  return {
    hosts: `127.0.0.1 localhost\n${place.nodeAddress} ${place.name}\n`,
    hostname: `${place.name}\n`,
    // Nobody answers there: names outside the cluster don't exist, and are refused at once.
    'resolv.conf': `nameserver ${place.hostAddress}\n`,
    'machine-id': `${randomUUID().replaceAll('-', '')}\n`,
    'os-release': 'NAME="Debian of a test"\nID=debian\n',
    passwd: 'root:x:0:0:root:/root:/bin/sh\n',
    group: 'root:x:0:\n',
    'nsswitch.conf': 'hosts: files dns\n',
    'containerd/config.toml': CONTAINERD,
    'cni/net.d/10-bridge.conflist': JSON.stringify(podNetwork(place.podNetwork)),
  };
}

/** Scores can't be lowered without CAP_SYS_RESOURCE, which containers have not: so that this works inside of one too. */
const CONTAINERD = `
version = 2
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${NODE_IMAGES.pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
`;

function podNetwork(subnet: string): unknown {
  const ipam = { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] };
  const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, hairpinMode: true, ipam };
  return {
    ...{ cniVersion: '0.4.0', name: 'pods' },
    plugins: [bridge, { type: 'portmap', capabilities: { portMappings: true } }],
  };
}

async function write(folder: string, name: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), text);
}
