// The map: which room may import which. `make imports` refuses everything that isn't here.
// Below it the few rules about single packages; at the end, how dependency-cruiser is told.

/** room: the rooms it may import. Its own files and `foundations` are always allowed. */
const rooms = {
  // What etcd is, what Kubernetes keeps in it, where backups lie, how they are sealed: none knows another.
  'lib/etcd': [],
  'lib/keyspace': [],
  'lib/storage': [],
  'lib/encryption': [],
  'lib/pki': [],

  // What an agent does for others, over gRPC: messages, client, and the server's frame.
  'lib/agent-api': ['lib/pki'],

  // What we keep in a store.
  'lib/repository': ['lib/etcd', 'lib/keyspace', 'lib/storage', 'lib/encryption'],

  // The flows. They don't know each other, nor who starts them.
  'lib/backup': ['lib/repository', 'lib/etcd', 'lib/keyspace', 'lib/storage', 'lib/encryption'],
  'lib/restore': [
    ...['lib/repository', 'lib/etcd', 'lib/keyspace', 'lib/storage', 'lib/encryption'],
    ...['lib/agent-api'],
  ],

  // The Kubernetes API: for control plane, webhook and CLI.
  'lib/kubernetes': ['lib/keyspace', 'lib/pki'],

  // The processes: each imports from lib/, none from another. The agent must work with the API server down.
  agent: [
    ...['lib/backup', 'lib/restore', 'lib/repository', 'lib/etcd', 'lib/keyspace', 'lib/storage'],
    ...['lib/encryption', 'lib/pki', 'lib/agent-api'],
  ],
  controlplane: ['lib'],
  webhook: ['lib/kubernetes', 'lib/keyspace', 'lib/pki'],
  cli: [
    ...['lib', 'agent/main.ts', 'controlplane/main.ts', 'webhook/main.ts', 'webhook/settings.ts'],
    // The agent's steps on this node, without the agent.
    'agent/restore/node-by-hand.ts',
  ],

  // Beside the product.
  bench: ['lib', 'test/harness', 'tools'],
  test: ['lib', 'agent', 'controlplane', 'webhook', 'cli', 'bench', 'tools'],
  tools: [],
};

/** Files directly in lib/: the words that every room speaks (errors, the clock). They import nothing. */
const foundations = '^lib/[^/]+$';

/** Tests beside a file may also use the harness, and neighbours to build their input. */
const tests = '[.](test|conformance|fixture)[.]ts$';

/** npm package: the rooms that may import it, so that a change of library stays in one place. */
const packages = {
  '@kubernetes/client-node': ['lib/kubernetes'],
  '@aws-sdk/': ['lib/storage', 'lib/encryption'],
  '@aws-crypto/': ['lib/encryption'],
  '@grpc/': ['lib/etcd/client', 'lib/agent-api'],
  express: ['webhook', 'controlplane'],
  croner: ['controlplane', 'webhook'],
  etcd3: ['lib/etcd/client'],
  commander: ['cli'],
  'node-forge': ['lib/pki'],
  'prom-client': ['cli', 'agent', 'controlplane', 'webhook'],
};

/** A pattern for everything in these folders, and for these files. */
function within(paths) {
  const starts = paths.map((path) => (path.endsWith('.ts') ? path.replaceAll('.', '[.]') : `${path}/`));
  return `^(${starts.join('|')})`;
}

module.exports = {
  forbidden: [
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `${room} imports only ${['its own', ...allowed].join(', ')}`,
      severity: 'error',
      from: { path: within([room]), pathNot: tests },
      to: { path: within(Object.keys(rooms)), pathNot: [within([room, ...allowed]), foundations] },
    })),
    ...Object.entries(packages).map(([name, users]) => ({
      name: `${name} is for ${users.join(', ')}`,
      severity: 'error',
      from: { path: within(Object.keys(rooms)), pathNot: [within([...users, 'test', 'bench']), tests] },
      to: { path: `(^|/)node_modules/${name}` },
    })),
    {
      name: 'foundations import nothing',
      severity: 'error',
      from: { path: foundations, pathNot: tests },
      to: { path: within(Object.keys(rooms)) },
    },
    {
      name: 'nobody imports a test',
      severity: 'error',
      from: {},
      to: { path: '[.]test[.]ts$' },
    },
    {
      name: 'the agent never reaches the Kubernetes client',
      severity: 'error',
      from: { path: within(['agent']), pathNot: tests },
      to: { path: ['node_modules/@kubernetes/', within(['lib/kubernetes'])], reachable: true },
    },
    {
      name: 'no cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'the product runs without development packages',
      severity: 'error',
      from: { path: within(['lib', 'agent', 'controlplane', 'webhook', 'cli']), pathNot: tests },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'every import leads somewhere',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^([.]tools|coverage)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
