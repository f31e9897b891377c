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
  /** The Go package of each program, in the order of `programs`; the first one's module carries the version. */
  readonly packages: readonly string[];
  /** Variables that the linker sets, by their full names: how some programs learn their own version. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
}

/** Unpacked from Debian's packages, without installing them. */
export interface DebianSource {
  readonly kind: 'debian';
  readonly packages: readonly string[];
}

const etcdPackages = [
  'go.etcd.io/etcd/server/v3',
  'go.etcd.io/etcd/etcdctl/v3',
  'go.etcd.io/etcd/etcdutl/v3',
];
const etcdPrograms = ['etcd', 'etcdctl', 'etcdutl'];

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
    programs: ['kube-apiserver', 'kubectl'],
    source: {
      kind: 'go',
      module: 'tools/kubernetes-1.36',
      packages: ['k8s.io/kubernetes/cmd/kube-apiserver', 'k8s.io/kubernetes/cmd/kubectl'],
      // What `/version` and `kubectl version` answer; the source doesn't know.
      variables: {
        'k8s.io/component-base/version.gitVersion': 'v1.36.3',
        'k8s.io/component-base/version.gitMajor': '1',
        'k8s.io/component-base/version.gitMinor': '36',
        'k8s.io/component-base/version.gitTreeState': 'clean',
      },
      tags: ['providerless'],
    },
  },
];
