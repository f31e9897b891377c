import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runStaticPods, type StaticPods } from '../../../agent/restore/static-pods.fixture.ts';
import type { BackupResult } from '../../../lib/agent-api/task-messages.ts';
import { saveCredentials } from '../../../lib/pki/credential-folder.ts';
import type { Credentials } from '../../../lib/pki/credentials.ts';
import { agentOf, CLUSTER, credentialsFor, newAuthority } from '../../../lib/pki/installation.fixture.ts';
import type { RestoreOrder } from '../../../lib/restore/cluster/coordinate-restore.ts';
import { type Authority, createAuthority } from '../certificates.ts';
import { eventually } from '../eventually.ts';
import { type S3Server, startS3Server } from '../s3.ts';
import { type TemporaryFolder, temporaryFolder } from '../temporary-folder.ts';
import { DEFAULT_ETCD, type EtcdVersion, requireTool } from '../tools.ts';
import { nodeAgent, type NodeAgent } from './node-agent.ts';
import { nodeEtcd, type NodeEtcd } from './node-etcd.ts';
import { type DataDirs, dataDirs, type NodeLayout } from './node-layout.ts';
import { type NodePki, nodePki } from './node-pki.ts';
import { layNodesNetwork, type NodePlace, type NodesNetwork } from './nodes-network.ts';

export interface ManyNodesOptions {
  readonly version?: EtcdVersion;
  /** One for each node. */
  readonly layouts?: readonly NodeLayout[];
  /** How much fits into a data dir that is a file system of its own. */
  readonly diskBytes?: number;
  readonly patience?: 'quick' | 'kubelet';
  /** Where everything lies; default as `temporaryFolder` chooses. */
  readonly on?: 'memory' | 'disk';
  /** Further flags of etcd. */
  readonly etcdArgs?: readonly string[];
}

/** A control-plane node: what a kubelet would run, and our agent. */
export interface ManyNode {
  readonly name: string;
  readonly member: string;
  readonly place: NodePlace;
  readonly folder: string;
  readonly dirs: DataDirs;
  readonly pki: NodePki;
  readonly pods: StaticPods;
  readonly etcd: NodeEtcd;
  readonly agent: NodeAgent;
  /** The journal of a restore as it is on disk; undefined where there is none. */
  journalState(operation: string): Promise<string | undefined>;
  /** Agent and pods are gone at once, until `powerOn`. */
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
}

/** Three members of one etcd cluster, each on its node, with agents and a store that all reach. */
export interface ManyNodes extends AsyncDisposable {
  readonly version: EtcdVersion;
  readonly folder: TemporaryFolder;
  readonly network: NodesNetwork;
  readonly nodes: readonly ManyNode[];
  readonly s3: S3Server;
  readonly etcdAuthority: Authority;
  readonly controlPlane: Credentials;
  /** Where the control plane's credentials lie as files. */
  readonly controlPlaneFolder: string;
  /** A full backup by the first node's agent. */
  backUp(mode?: 'FULL' | 'INCREMENTAL'): Promise<BackupResult>;
  order(point: BackupResult['point'], bumpTo: bigint, changes?: Partial<RestoreOrder['stage']>): RestoreOrder;
  serving(): Promise<void>;
}

const LAYOUTS: readonly NodeLayout[] = ['plain', 'mount', 'separate-wal'];
const DISK = 4 * 2 ** 30;

export async function startManyNodes(options: ManyNodesOptions = {}): Promise<ManyNodes> {
  const { version = DEFAULT_ETCD, layouts = LAYOUTS, diskBytes = DISK, patience = 'quick' } = options;
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder(options.on === undefined ? {} : { on: options.on }));
  const etcdAuthority = starting.use(await createAuthority('etcd'));
  const authority = await newAuthority();
  const controlPlane = await credentialsFor(authority, { cluster: CLUSTER, role: 'control-plane' });
  const controlPlaneFolder = folder.join('control-plane');
  await saveCredentials(controlPlaneFolder, controlPlane);
  const dirs = layouts.map((layout, at) => dataDirs(folder.join(`node-${at + 1}`), layout, diskBytes));
  const network = starting.use(await layNodesNetwork(dirs.map(({ mounts }) => mounts)));
  const s3 = starting.use(await startS3Server({ host: network.storeAddress }));
  await s3.createBucket('backups');

  const initialCluster = network.nodes
    .map(({ address }, at) => `member-${at + 1}=https://${address}:2380`)
    .join(',');
  const nodes = await Promise.all(
    network.nodes.map(async (place, at) => {
      const name = `node-${at + 1}`;
      const own = folder.join(name);
      const where = dirs[at] ?? dataDirs(own, 'plain', diskBytes);
      const pki = await nodePki(join(own, 'pki'), place.address, etcdAuthority);
      await saveCredentials(join(own, 'credentials'), await credentialsFor(authority, agentOf(name)));
      const parts = { name, place, folder: own, dirs: where, pki, controlPlane, patience };
      return await startNode(
        parts,
        [
          ...etcdCommand({ ...parts, member: `member-${at + 1}`, version, initialCluster }),
          ...(options.etcdArgs ?? []),
        ],
        starting,
      );
    }),
  );
  const stack = starting.move();
  const serving = async (): Promise<void> => {
    for (const { name, etcd } of nodes)
      await eventually(`the etcd of ${name} serves`, async () => {
        const { leader } = await etcd.client.status(etcd.endpoint);
        return leader !== undefined;
      });
  };
  const store = {
    ...{ provider: 'S3', bucket: 'backups', prefix: 'main', region: s3.region, endpoint: s3.endpoint },
    credentials: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
  };
  const keys = { encryption: Buffer.alloc(32, 7), encryptionFrom: 'Secret x/key' };
  const scene: ManyNodes = {
    ...{ version, folder, network, nodes, s3, etcdAuthority, controlPlane, controlPlaneFolder, serving },
    async backUp(mode = 'FULL') {
      const [first] = nodes;
      if (first === undefined) throw new Error('a scene without nodes');
      const { client } = first.agent;
      const operation = randomUUID();
      const { term } = await client.takeTerm({ holder: 'controlplane/test' });
      const request = { fence: { operation, term }, store, keys, cluster: CLUSTER, proof: 'None', mode };
      for await (const { backup } of client.takeBackup(request)) if (backup !== undefined) return backup;
      throw new Error('a backup without a result');
    },
    order(point, bumpTo, changes = {}) {
      const operation = randomUUID();
      return {
        operation,
        stage: {
          ...{
            store,
            keys,
            cluster: CLUSTER,
            point,
            token: `etcdguardian-${operation}`,
            quiesce: true,
            bumpTo,
          },
          members: nodes.map(({ name, member, place: { address } }) => ({
            ...{ node: name, name: member, peerUrls: [`https://${address}:2380`] },
            agentAddress: `${address}:9640`,
          })),
          subject: '{"test":true}',
          ...changes,
        },
      };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  try {
    await serving();
  } catch (error) {
    const said = nodes.map(({ name, pods }) => `${name}: ${pods.output('etcd.yaml').slice(-2_000)}`);
    await stack.disposeAsync();
    throw new Error(said.join('\n'), { cause: error });
  }
  return scene;
}

interface NodeParts extends Pick<ManyNode, 'name' | 'place' | 'folder' | 'dirs' | 'pki'> {
  readonly controlPlane: Credentials;
  readonly patience: 'quick' | 'kubelet';
}

async function startNode(
  { name, place, folder, dirs, pki, controlPlane, patience }: NodeParts,
  command: readonly string[],
  stack: AsyncDisposableStack,
): Promise<ManyNode> {
  const pods = stack.use(await runStaticPods(join(folder, 'manifests'), { within: place.within }));
  await pods.add('etcd.yaml', command);
  const env = {
    ETCDGUARDIAN_NODE: name,
    ETCDGUARDIAN_STATE_DIR: join(folder, 'state'),
    ETCDGUARDIAN_CREDENTIALS_DIR: join(folder, 'credentials'),
    ETCDGUARDIAN_MANIFESTS_DIR: pods.folder,
    ETCDGUARDIAN_UNIT_DIRS: join(folder, 'units'),
    ETCDGUARDIAN_K3S_DIR: join(folder, 'rancher'),
    ETCDGUARDIAN_STOP_WITHIN: '5s',
  };
  const address = `${place.address}:9640`;
  const agent = stack.use(
    nodeAgent({ node: name, address, within: place.within, folder, env, controlPlane, patience }),
  );
  await agent.start();
  const manifests = ['etcd.yaml', 'kube-apiserver.yaml'];
  return {
    ...{ name, member: name.replace('node', 'member'), place, folder, dirs, pki, pods, agent },
    etcd: stack.use(nodeEtcd(place.address, pki)),
    async journalState(operation) {
      const path = join(folder, 'state', 'restores', `${operation}.json`);
      const text = await readFile(path, 'utf8').catch(() => undefined);
      return text === undefined ? undefined : (JSON.parse(text) as { state: string }).state;
    },
    async powerOff() {
      for (const manifest of manifests) pods.breakPod(manifest, true);
      await Promise.all([agent.kill(), ...manifests.map((manifest) => pods.kill(manifest))]);
    },
    async powerOn() {
      for (const manifest of manifests) pods.breakPod(manifest, false);
      await agent.start();
    },
  };
}

function etcdCommand(parts: {
  readonly version: EtcdVersion;
  readonly member: string;
  readonly initialCluster: string;
  readonly place: NodePlace;
  readonly dirs: DataDirs;
  readonly pki: NodePki;
}): string[] {
  const { version, member, initialCluster, place, dirs, pki } = parts;
  const [clients, peers] = [`https://${place.address}:2379`, `https://${place.address}:2380`];
  return [
    requireTool('etcd', version),
    ...[`--name=${member}`, `--data-dir=${dirs.dataDir}`],
    ...(dirs.walDir === '' ? [] : [`--wal-dir=${dirs.walDir}`]),
    ...[`--listen-client-urls=https://127.0.0.1:2379,${clients}`, `--advertise-client-urls=${clients}`],
    ...[`--listen-peer-urls=${peers}`, `--initial-advertise-peer-urls=${peers}`],
    ...[`--initial-cluster=${initialCluster}`, '--initial-cluster-state=new'],
    '--unsafe-no-fsync',
    ...pki.etcdFlags,
  ];
}
