import { mkdir, writeFile } from 'node:fs/promises';
import { systemClock } from '../lib/clock.ts';
import { type AgentClient, connectAgent } from '../lib/agent-api/agent-client.ts';
import type { Sent } from '../lib/agent-api/fields.ts';
import type { TakeBackupRequest, TaskUpdate } from '../lib/agent-api/task-messages.ts';
import { LogLines } from '../lib/log-lines.ts';
import type { Authority as PkiAuthority } from '../lib/pki/authority.ts';
import { saveCredentials } from '../lib/pki/credential-folder.ts';
import {
  agentOf,
  CLUSTER,
  CONTROL_PLANE,
  credentialsFor,
  newAuthority,
} from '../lib/pki/installation.fixture.ts';
import type { Credentials } from '../lib/pki/credentials.ts';
import { type Authority, createAuthority } from '../test/harness/certificates.ts';
import { type Etcd, startEtcd } from '../test/harness/etcd.ts';
import { DEADLINE_MS } from '../test/harness/eventually.ts';
import { type S3Server, startS3Server } from '../test/harness/s3.ts';
import { type TemporaryFolder, temporaryFolder } from '../test/harness/temporary-folder.ts';
import { type AgentTools, agentSettings, runAgent } from './main.ts';

/** A node of a test: an etcd with TLS that a static pod's manifest describes, and an S3 server with a bucket. */
export interface AgentScene extends AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly etcd: Etcd;
  readonly s3: S3Server;
  readonly pki: PkiAuthority;
  readonly controlPlane: Credentials;
  /** Environment of an agent whose state is in that folder. */
  env(state: string): Record<string, string>;
  /** Starts one in this process. */
  start(state: string, changes?: Record<string, string>, tools?: Partial<AgentTools>): Promise<RunningAgent>;
  /** A call to it, as the control plane. */
  client(port: number, credentials?: Credentials): AgentClient;
  request(operation: string, term: bigint, changes?: Sent<TakeBackupRequest>): Sent<TakeBackupRequest>;
}

export interface RunningAgent {
  readonly port: number;
  readonly pagesPort: number;
  /** What it has logged. */
  readonly lines: readonly string[];
  stop(): Promise<void>;
}

export interface AgentSceneOptions {
  /** Who vouches for agents and control plane, and for which cluster. */
  readonly pki?: { readonly authority: PkiAuthority; readonly cluster: string };
  /** Of another scene, which has made the bucket. */
  readonly s3?: S3Server;
  /** Further flags of etcd. */
  readonly etcdArgs?: readonly string[];
}

export async function startAgentScene(options: AgentSceneOptions = {}): Promise<AgentScene> {
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder());
  const authority = starting.use(await createAuthority());
  const server = await authority.issue();
  const etcd = starting.use(
    await startEtcd({ name: 'member-1', tls: { authority, server, clientCertAuth: true } }),
  );
  const s3 = options.s3 ?? (await s3WithBucket(starting));
  const manifests = folder.join('manifests');
  await mkdir(manifests);
  await writeFile(`${manifests}/etcd.yaml`, manifestOf(etcd, authority, server));
  const { authority: pki, cluster } = options.pki ?? { authority: await newAuthority(), cluster: CLUSTER };
  const controlPlane = await credentialsFor(pki, { ...CONTROL_PLANE, cluster });
  const stack = starting.move();

  const env = (state: string): Record<string, string> => ({
    ETCDGUARDIAN_NODE: 'node-1',
    ETCDGUARDIAN_STATE_DIR: folder.join(state),
    ETCDGUARDIAN_CREDENTIALS_DIR: folder.join('credentials'),
    ETCDGUARDIAN_LISTEN_HOST: '127.0.0.1',
    ETCDGUARDIAN_PORT: '0',
    ETCDGUARDIAN_PAGES_PORT: '0',
    ETCDGUARDIAN_MANIFESTS_DIR: manifests,
    ETCDGUARDIAN_UNIT_DIRS: folder.join('units'),
    ETCDGUARDIAN_K3S_DIR: folder.join('rancher'),
    ETCDGUARDIAN_STOP_WITHIN: '5s',
  });
  await saveCredentials(folder.join('credentials'), await credentialsFor(pki, agentOf('node-1', cluster)));
  return {
    ...{ folder, etcd, s3, pki, controlPlane, env },
    async start(state, changes = {}, tools = {}) {
      const stopping = new AbortController();
      const lines: string[] = [];
      const serving = Promise.withResolvers<{ readonly port: number; readonly pagesPort: number }>();
      const log = new LogLines({ write: (line: string) => lines.push(line) }, systemClock, 'text');
      const running = runAgent(agentSettings({ ...env(state), ...changes }), {
        ...{ clock: systemClock, log, signal: stopping.signal },
        onServing: serving.resolve,
        ...tools,
      });
      running.catch(serving.reject);
      const stop = async (): Promise<void> => {
        stopping.abort(new Error('the test is over'));
        await running;
      };
      stack.defer(stop);
      return { ...(await serving.promise), lines, stop };
    },
    client(port, credentials = controlPlane) {
      const made = connectAgent({
        address: `127.0.0.1:${port}`,
        ...{ node: 'node-1', credentials, clock: systemClock, connectTimeoutMs: DEADLINE_MS },
      });
      stack.defer(() => {
        made.close();
      });
      return made;
    },
    request: (operation, term, changes = {}) => ({
      fence: { operation, term },
      mode: 'FULL',
      store: {
        ...{ provider: 'S3', bucket: 'backups', prefix: operation },
        ...{ region: s3.region, endpoint: s3.endpoint },
        credentials: { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey },
      },
      keys: { encryption: Buffer.alloc(32, 7), encryptionFrom: 'Secret x/key' },
      cluster,
      ...changes,
    }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function s3WithBucket(stack: AsyncDisposableStack): Promise<S3Server> {
  const s3 = stack.use(await startS3Server());
  await s3.createBucket('backups');
  return s3;
}

/** All updates of a stream. */
export async function allOf(stream: AsyncIterable<TaskUpdate>): Promise<TaskUpdate[]> {
  const updates: TaskUpdate[] = [];
  for await (const update of stream) updates.push(update);
  return updates;
}

/** As kubeadm lays it out: the container sees other paths than the node. */
function manifestOf(
  etcd: Etcd,
  authority: Authority,
  server: { readonly certificateFile: string; readonly keyFile: string },
): string {
  const inside = (path: string): string => `/in-container${path}`;
  return `apiVersion: v1
kind: Pod
metadata:
  name: etcd
  labels: { component: etcd, tier: control-plane }
spec:
  containers:
    - name: etcd
      command:
        - etcd
        - --name=${etcd.name}
        - --data-dir=${inside(etcd.dataDir)}
        - --listen-client-urls=${etcd.endpoint},https://10.255.255.1:2379
        - --initial-advertise-peer-urls=${etcd.peerUrl}
        - --initial-cluster=${etcd.name}=${etcd.peerUrl}
        - --trusted-ca-file=${inside(authority.certificateFile)}
        - --cert-file=${inside(server.certificateFile)}
        - --key-file=${inside(server.keyFile)}
      volumeMounts:
        - { mountPath: /in-container, name: everything }
  hostNetwork: true
  volumes:
    - { name: everything, hostPath: { path: /, type: Directory } }
`;
}
