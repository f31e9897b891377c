import { agentOf, credentialsFor } from '../../lib/pki/installation.fixture.ts';
import { type AgentScene, startAgentScene } from '../../agent/agent-scene.fixture.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Authority } from '../../lib/pki/authority.ts';
import { saveCredentials } from '../../lib/pki/credential-folder.ts';
import { freePort } from '../../test/harness/free-port.ts';
import { guardianCli } from '../../test/harness/guardian-cli.ts';
import type { ServerProcess } from '../../test/harness/server-process.ts';
import { authorityStore } from '../certificates/authority-store.ts';
import { NAMESPACE } from '../installation.fixture.ts';
import { type BackupScene, startBackupScene } from './backup-scene.fixture.ts';

/** The road of backups by agents: a real API server, an etcd with TLS, and whatever is started of us. */
export interface AgentRoad extends AsyncDisposable {
  readonly scene: BackupScene;
  /** The etcd with its agent, on node-1; the API server has a pod of it at `address`. */
  readonly node: AgentScene;
  readonly pki: { readonly authority: Authority; readonly cluster: string };
  /** Settings of a control plane that finds the agent, and looks often. */
  readonly flags: { readonly agentPort: string; readonly agentPollMs: string };
  /** Settings of an agent that is found. */
  readonly env: Readonly<Record<string, string>>;
  startAgentProcess(state: string, changes?: Readonly<Record<string, string>>): Promise<ServerProcess>;
  /** An EtcdBackup by the agent, into the prefix of its name; resolves to that. */
  create(name: string, spec?: object, metadata?: object): Promise<string>;
  /** Writes what the agent is known by; it is seen at the next call. */
  certify(options?: { now: Date; lifeMs: number }): Promise<void>;
}

export async function startAgentRoad(): Promise<AgentRoad> {
  await using stack = new AsyncDisposableStack();
  const scene = stack.use(await startBackupScene());
  const { kube, cluster } = scene.installation;
  const settings = { authoritySecret: 'etcdguardian-authority', trustConfigMap: 'etcdguardian-trust' };
  const scope = { cluster, namespace: NAMESPACE };
  const store = authorityStore({ kube, clock: systemClock, scope, settings });
  const { bundle } = await store.open(undefined);
  const pki = { authority: bundle.signer, cluster };
  const node = stack.use(await startAgentScene({ pki, s3: scene.s3 }));
  await scene.installation.addAgentPod({ node: 'node-1', ip: '127.0.0.1' });
  const port = String(await freePort());
  const env = { ETCDGUARDIAN_PORT: port };
  const moved = stack.move();
  return {
    ...{ scene, node, pki, env, flags: { agentPort: port, agentPollMs: '500ms' } },
    async startAgentProcess(state, changes = {}) {
      const process = await guardianCli(node.folder).start(['agent'], {
        env: { ...node.env(state), ...env, ...changes },
      });
      moved.use(process);
      await process.line(/"event":"serving"/);
      return process;
    },
    create: (name, spec = {}, metadata = {}) =>
      scene.create(
        name,
        { etcdEndpoints: undefined, storageLocation: scene.location(name), ...spec },
        metadata,
      ),
    async certify(options) {
      const identity = agentOf('node-1', cluster);
      const credentials = await credentialsFor(pki.authority, identity, options);
      await saveCredentials(node.folder.join('credentials'), credentials);
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}
