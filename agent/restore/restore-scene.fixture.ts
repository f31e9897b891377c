import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type AgentClient, connectAgent } from '../../lib/agent-api/agent-client.ts';
import type { BackupResult } from '../../lib/agent-api/task-messages.ts';
import { systemClock } from '../../lib/clock.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { LogLines } from '../../lib/log-lines.ts';
import { saveCredentials } from '../../lib/pki/credential-folder.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';
import type { Authority } from '../../lib/pki/authority.ts';
import { agentOf, CLUSTER, credentialsFor, newAuthority } from '../../lib/pki/installation.fixture.ts';
import type { CoordinatorTools, RestoreOrder } from '../../lib/restore/cluster/coordinate-restore.ts';
import { agentParticipant, type Participant } from '../../lib/restore/cluster/participant.ts';
import { base64 } from '../../test/harness/etcd-gateway.ts';
import { DEADLINE_MS, eventually } from '../../test/harness/eventually.ts';
import { freePort } from '../../test/harness/free-port.ts';
import { type S3Server, startS3Server } from '../../test/harness/s3.ts';
import { type ServerProcess, startProcess } from '../../test/harness/server-process.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { DEFAULT_ETCD, type EtcdVersion, requireTool } from '../../test/harness/tools.ts';
import { agentSettings, runAgent } from '../main.ts';
import { restorePart } from './restore-part.ts';
import { runStaticPods, type StaticPods } from './static-pods.fixture.ts';

export interface RestoreScene extends AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly pods: StaticPods;
  readonly dataDir: string;
  readonly endpoint: string;
  readonly peerUrl: string;
  readonly client: EtcdClient;
  readonly s3: S3Server;
  readonly agent: AgentClient;
  readonly controlPlane: Credentials;
  /** Changes of one key; resolves to its value. */
  put(key: string, value: string): Promise<bigint>;
  get(key: string): Promise<string | undefined>;
  backUp(): Promise<BackupResult>;
  order(point: BackupResult, changes?: Partial<RestoreOrder['stage']>): RestoreOrder;
  participant(): Participant;
  /** An agent in a process of its own, for kill -9; the one of the scene is not started then. */
  startAgentProcess(): Promise<ServerProcess>;
  journal(operation: string): string;
}

export interface RestoreSceneOptions {
  readonly version?: EtcdVersion;
  readonly separateWal?: boolean;
  /** Default in this process. */
  readonly agent?: 'here' | 'apart';
  /** Who vouches for agent and control plane, and for which cluster; asked when etcd serves. */
  readonly pki?: (scene: Pick<RestoreScene, 'folder' | 'pods' | 'endpoint'>) => Promise<ScenePki>;
  /** Further settings of the agent. */
  readonly settings?: (scene: Pick<RestoreScene, 'folder' | 'pods'>) => Readonly<Record<string, string>>;
}

export interface ScenePki {
  readonly authority: Authority;
  readonly cluster: string;
}

export const QUICK = { noticeMs: 300, politeMs: 1_000, steadyMs: 200 };

export async function startRestoreScene(options: RestoreSceneOptions = {}): Promise<RestoreScene> {
  const { version = DEFAULT_ETCD, separateWal = false, agent: where = 'here' } = options;
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder());
  const s3 = starting.use(await startS3Server());
  await s3.createBucket('backups');
  const [clientPort, peerPort, agentPort] = [await freePort(), await freePort(), await freePort()];
  const endpoint = `http://127.0.0.1:${clientPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const dataDir = folder.join('etcd');
  const pods = starting.use(await runStaticPods(folder.join('manifests')));
  await pods.add('etcd.yaml', [
    requireTool('etcd', version),
    ...['--name=member-1', `--data-dir=${dataDir}`],
    ...(separateWal ? [`--wal-dir=${folder.join('wal')}`] : []),
    ...[`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`],
    ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
    `--initial-cluster=member-1=${peerUrl}`,
    ...['--heartbeat-interval=10', '--election-timeout=100'],
    version.startsWith('3.4.') ? '--logger=zap' : '--unsafe-no-fsync',
  ]);
  const client = starting.use(connectEtcd({ endpoints: [endpoint] }));
  await eventually('etcd serves', async () => (await client.status(endpoint)).leader !== undefined);

  const { authority, cluster } = (await options.pki?.({ folder, pods, endpoint })) ?? {
    authority: await newAuthority(),
    cluster: CLUSTER,
  };
  const controlPlane = await credentialsFor(authority, { cluster, role: 'control-plane' });
  await saveCredentials(
    folder.join('credentials'),
    await credentialsFor(authority, agentOf('node-1', cluster)),
  );
  const env = {
    ETCDGUARDIAN_NODE: 'node-1',
    ETCDGUARDIAN_STATE_DIR: folder.join('state'),
    ETCDGUARDIAN_CREDENTIALS_DIR: folder.join('credentials'),
    ETCDGUARDIAN_LISTEN_HOST: '127.0.0.1',
    ETCDGUARDIAN_PORT: String(agentPort),
    ETCDGUARDIAN_PAGES_PORT: '0',
    ETCDGUARDIAN_MANIFESTS_DIR: pods.folder,
    ETCDGUARDIAN_UNIT_DIRS: folder.join('units'),
    ETCDGUARDIAN_K3S_DIR: folder.join('rancher'),
    ETCDGUARDIAN_STOP_WITHIN: '5s',
    ...options.settings?.({ folder, pods }),
  };
  const agent = connectAgent({
    ...{ address: `127.0.0.1:${agentPort}`, node: 'node-1', credentials: controlPlane, clock: systemClock },
    connectTimeoutMs: DEADLINE_MS,
  });
  starting.defer(() => {
    agent.close();
  });
  if (where === 'here') {
    const stopping = new AbortController();
    const serving = Promise.withResolvers<unknown>();
    const log = new LogLines({ write: () => undefined }, systemClock, 'text');
    const running = runAgent(agentSettings(env), {
      ...{ clock: systemClock, log, signal: stopping.signal, onServing: serving.resolve },
      parts: [(tools) => restorePart(tools, { patience: QUICK, watchEveryMs: 100 })],
    });
    running.catch(serving.reject);
    starting.defer(async () => {
      stopping.abort(new Error('the test is over'));
      await running;
    });
    await serving.promise;
  }
  const stack = starting.move();
  const store = {
    ...{ provider: 'S3', bucket: 'backups', prefix: 'main', region: s3.region, endpoint: s3.endpoint },
    credentials: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
  };
  const keys = { encryption: Buffer.alloc(32, 7), encryptionFrom: 'Secret x/key' };
  return {
    ...{ folder, pods, dataDir, endpoint, peerUrl, client, s3, agent, controlPlane },
    async put(key, value) {
      const response = await fetch(`${endpoint}/v3/kv/put`, {
        method: 'POST',
        body: JSON.stringify({ key: base64(key), value: base64(value) }),
      });
      const { header } = (await response.json()) as { header: { revision: string } };
      return BigInt(header.revision);
    },
    async get(key) {
      const { kvs } = await client.range(key);
      const [kv] = kvs;
      return kv === undefined ? undefined : Buffer.from(kv.value).toString();
    },
    async backUp() {
      const operation = randomUUID();
      const { term } = await agent.takeTerm({ holder: 'controlplane/test' });
      const request = { fence: { operation, term }, store, keys, cluster, proof: 'None' };
      for await (const { backup } of agent.takeBackup(request)) if (backup !== undefined) return backup;
      throw new Error('a backup without a result');
    },
    order: ({ point }, changes = {}) => {
      const operation = randomUUID();
      return {
        operation,
        stage: {
          ...{ store, keys, cluster, point, token: `etcdguardian-${operation}`, quiesce: true },
          bumpTo: (point?.revision ?? 0n) + 1_000_000_000n,
          members: [{ node: 'node-1', name: 'member-1', peerUrls: [peerUrl], agentAddress: agent.address }],
          subject: '{"test":true}',
          ...changes,
        },
      };
    },
    participant: () => agentParticipant(agent, 0, systemClock),
    async startAgentProcess() {
      const file = join(import.meta.dirname, 'agent-process.fixture.ts');
      const started = await startProcess(process.execPath, [file], { env: { ...process.env, ...env } });
      stack.defer(() => started.kill());
      await started.line(/answers on port/);
      return started;
    },
    journal: (operation) => join(folder.join('state'), 'restores', `${operation}.json`),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A coordinator's tools for tests; `seen` gets its steps. */
export function coordinatorTools(
  changes: Partial<CoordinatorTools> = {},
  seen: string[] = [],
): CoordinatorTools {
  return {
    holder: 'restore/test',
    isOurs: (holder) => holder === 'controlplane/test',
    onStep: ({ step }) => {
      if (seen.at(-1) !== step) seen.push(step);
    },
    signal: new AbortController().signal,
    // Nothing is given up because the machine is slow.
    budgets: { quiesceMs: 120_000, swapMs: 60_000, startMs: 120_000, verifyMs: 120_000, rollBackMs: 120_000 },
    ...changes,
  };
}

/** For a moment that no event tells, in a test of what happens in it. */
export async function untilJournalSays(path: string, states: readonly string[]): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  for (const deadline = performance.now() + DEADLINE_MS; performance.now() < deadline;) {
    const text = await readFile(path, 'utf8').catch(() => '{}');
    const { state = '' } = JSON.parse(text) as { state?: string };
    if (states.includes(state)) return state;
    await pause(2);
  }
  throw new Error(`${path} never said ${states.join(' or ')}`);
}
