import type { Sent } from '../../lib/agent-api/fields.ts';
import type { BackUpNamespacesRequest } from '../../lib/agent-api/task-messages.ts';
import { backUpNamespaces } from '../../lib/backup/namespaces/back-up-namespaces.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { ExportScope } from '../../lib/kubernetes/export/export-scope.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import type { NamespaceBackupWriter } from '../../lib/repository/namespace-backups.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { sentKeys, sentStore } from '../backup/agent-run.ts';
import type { BackupRunRequest } from '../backup/backup-run.ts';
import { rightsSettings } from '../judge-asked.ts';
import { type AgentReading, askAgent } from './ask-agent.ts';

/** An etcd whose history a backup belongs to, and how it is read. */
export interface EtcdReader {
  readonly clusterId: bigint;
  readonly revision: bigint;
  latestRevision(): Promise<bigint>;
  read(writer: NamespaceBackupWriter, scope: ExportScope): Promise<AgentReading>;
}

/** Lets the agent of a node read its member. Rejects as `AgentDirectory` and the agent's calls do. */
export async function agentReader(
  run: BackupRunRequest,
  repository: Pick<Repository, 'namespaces'>,
): Promise<EtcdReader> {
  const { tools, signal } = run;
  const { etcdEndpoints: endpoints = [] } = run.backup.spec;
  const { agent } = await tools.agents.choose(endpoints.length > 0 ? { endpoints } : {}, signal);
  const { node, description } = agent;
  const { etcd } = description;
  if (etcd === undefined) throw noEtcd(node);
  return {
    clusterId: etcd.clusterId,
    revision: etcd.revision,
    async latestRevision() {
      const now = await tools.agents.describe(node, signal);
      if (now.etcd === undefined) throw noEtcd(node);
      return now.etcd.revision;
    },
    read: (writer, scope) =>
      askAgent({
        ...{ node, repository, tools, signal, place: writer },
        // Of this attempt: another one has another place, which the part is bound to.
        operation: `${run.operation}.${writer.id}`,
        request: requestOf(run, scope),
        onUpdate: ({ step, message, doneBytes, totalBytes }) => {
          const known = step === 'Uploading' ? 'Uploading' : 'Snapshotting';
          run.onProgress({ step: known, message, doneBytes, totalBytes });
        },
      }),
  };
}

/** Reads an etcd that has no agent, in this process. */
export async function ownReader(
  run: BackupRunRequest,
  client: EtcdClient,
  repository: Repository,
): Promise<EtcdReader> {
  const { tools, signal, onProgress } = run;
  const ask = async () => (await client.range('\0', { countOnly: true, signal })).header;
  const { clusterId, revision } = await ask();
  return {
    ...{ clusterId, revision },
    latestRevision: async () => (await ask()).revision,
    async read(place, { namespaces: scopes }) {
      const { etcdPrefix: prefix } = tools.settings;
      const read = await backUpNamespaces(
        { place, scopes, revision: undefined, prefix, retainUntil: undefined },
        {
          ...{ client, repository, clock: tools.clock, signal },
          onProgress: (doneBytes, objects) => {
            onProgress({ step: 'Snapshotting', message: `${objects} objects`, doneBytes, totalBytes: 0 });
          },
        },
      );
      return { ...read, unreadable: new Set(read.unreadable) };
    },
  };
}

function requestOf(
  { backup, secrets, tools }: BackupRunRequest,
  { namespaces }: ExportScope,
): Sent<BackUpNamespacesRequest> {
  const { storageLocation } = backup.spec;
  const network = storeNetwork(storageLocation, rightsSettings(tools).tenantEndpoints);
  return {
    store: sentStore(storageLocation, secrets, network),
    keys: sentKeys(secrets),
    ...{ revision: 0n, prefix: tools.settings.etcdPrefix },
    namespaces: namespaces.map(({ namespace, directories, namespaceObject }) => ({
      ...{ namespace, resources: directories, namespaceObject },
    })),
  };
}

function noEtcd(node: string): GuardianError {
  return new GuardianError('controlplane.no-agent', `the agent of ${node} has found no etcd`, {
    retryable: true,
  });
}
