/** A real server or client that tests and benchmarks run, in one exact version. */
export interface PinnedTool {
  readonly name: string;
  readonly version: string;
  /** The programs in its folder, `.tools/<name>-<version>/`. */
  readonly programs: readonly string[];
  readonly source: GoSource | DebianSource;
}

/** Built from the Go modules that `module`/go.mod and go.sum pin. */
export interface GoSource {
  readonly kind: 'go';
  /** The folder of the go.mod, relative to the project. */
  readonly module: string;
  /** The Go package of each program, in the order of `programs`. */
  readonly packages: readonly string[];
  /** The module whose version is the tool's; default the one that the first package is in. */
  readonly versionOf?: string;
  /** Variables that the linker sets, by their full names: how some programs learn their own version. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
}

/** Unpacked from Debian's packages, without installing them. */
export interface DebianSource {
  readonly kind: 'debian';
  /** The first one's version is the tool's. */
  readonly packages: readonly string[];
  /** Default false: the programs alone. Else also all they depend on, as a file system like `/` in the tool's folder `root`. */
  readonly withDependencies?: boolean;
}

const etcdPackages = [
  'go.etcd.io/etcd/server/v3',
  'go.etcd.io/etcd/etcdctl/v3',
  'go.etcd.io/etcd/etcdutl/v3',
];
const etcdPrograms = ['etcd', 'etcdctl', 'etcdutl'];
/** Built together, since they share most packages. */
const kubernetesPrograms = [
  ...['kube-apiserver', 'kubectl', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy'],
  ...['kubelet', 'kubeadm'],
];

/** The newest patch of every etcd minor that we support, and the peers of our tests. */
export const pinnedTools: readonly PinnedTool[] = [
  {
    name: 'etcd',
    version: '3.4.23',
    programs: ['etcd', 'etcdctl'],
    source: { kind: 'debian', packages: ['etcd-server', 'etcd-client'] },
  },
  {
    name: 'etcd',
    version: '3.5.35',
    programs: etcdPrograms,
    source: { kind: 'go', module: 'tools/etcd-3.5', packages: etcdPackages },
  },
  {
    name: 'etcd',
    version: '3.6.16',
    programs: etcdPrograms,
    source: { kind: 'go', module: 'tools/etcd-3.6', packages: etcdPackages },
  },
  {
    name: 'etcd',
    version: '3.7.3',
    programs: etcdPrograms,
    source: { kind: 'go', module: 'tools/etcd-3.7', packages: etcdPackages },
  },
  {
    name: 'versitygw',
    version: '1.8.0',
    programs: ['versitygw'],
    source: {
      kind: 'go',
      module: 'tools/versitygw',
      packages: ['github.com/versity/versitygw/cmd/versitygw'],
    },
  },
  {
    name: 'toxiproxy',
    version: '2.5.0',
    programs: ['toxiproxy-server'],
    source: {
      kind: 'go',
      module: 'tools/toxiproxy',
      packages: ['github.com/Shopify/toxiproxy/v2/cmd/server'],
    },
  },
  {
    name: 'kubernetes',
    version: '1.36.3',
    programs: kubernetesPrograms,
    source: kubernetes('1.36.3', kubernetesPrograms),
  },
  {
    name: 'kubernetes',
    version: '1.32.2',
    programs: ['kube-apiserver'],
    source: kubernetes('1.32.2', ['kube-apiserver']),
  },
  {
    name: 'coredns',
    version: '1.14.2',
    programs: ['coredns', 'pause'],
    source: {
      kind: 'go',
      module: 'tools/cluster',
      packages: ['etcdguardian.io/tools/cluster/coredns', 'etcdguardian.io/tools/cluster/pause'],
      versionOf: 'github.com/coredns/coredns',
    },
  },
  {
    name: 'helm',
    version: '3.22.0',
    programs: ['helm'],
    source: {
      kind: 'go',
      module: 'tools/helm',
      packages: ['helm.sh/helm/v3/cmd/helm'],
      variables: { 'helm.sh/helm/v3/internal/version.version': 'v3.22.0' },
    },
  },
  {
    // What a node has beside Kubernetes' own programs.
    name: 'containerd',
    version: '1.6.20',
    programs: ['containerd'],
    source: {
      kind: 'debian',
      packages: [
        ...['containerd', 'runc', 'containernetworking-plugins', 'iptables', 'nftables', 'conntrack'],
        ...['iproute2', 'mount', 'util-linux', 'kmod', 'tini', 'busybox-static'],
      ],
      withDependencies: true,
    },
  },
  {
    // What the image has beside Node: its C and C++ libraries, certificate authorities, nsenter for hooks on nodes.
    name: 'glibc',
    version: '2.36',
    programs: ['nsenter'],
    source: {
      kind: 'debian',
      packages: ['libc6', 'libstdc++6', 'libatomic1', 'ca-certificates', 'util-linux'],
      withDependencies: true,
    },
  },
];

function kubernetes(version: string, programs: readonly string[]): GoSource {
  const [major = '', minor = ''] = version.split('.');
  return {
    kind: 'go',
    module: `tools/kubernetes-${major}.${minor}`,
    packages: programs.map((program) => `k8s.io/kubernetes/cmd/${program}`),
    // What `/version` and `kubectl version` answer; the source doesn't know.
    variables: {
      'k8s.io/component-base/version.gitVersion': `v${version}`,
      'k8s.io/component-base/version.gitMajor': major,
      'k8s.io/component-base/version.gitMinor': minor,
      'k8s.io/component-base/version.gitTreeState': 'clean',
    },
    tags: ['providerless'],
  };
}
