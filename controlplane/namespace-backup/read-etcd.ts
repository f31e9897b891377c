import { setTimeout as delay } from 'node:timers/promises';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { BackUpNamespacesRequest, NamespacesResult } from '../../lib/agent-api/task-messages.ts';
import { backUpNamespaces } from '../../lib/backup/namespaces/back-up-namespaces.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { ExportScope } from '../../lib/kubernetes/export/export-scope.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import type { NamespaceBackupWriter } from '../../lib/repository/namespace-backups.ts';
import type { NamespacePart } from '../../lib/repository/namespace-manifest.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { sentKeys, sentStore } from '../backup/agent-run.ts';
import type { BackupRunRequest } from '../backup/backup-run.ts';
import { rightsSettings } from '../backup/judge-backup.ts';

/** What was read from etcd, straight. */
export interface EtcdReading {
  readonly revision: bigint;
  readonly readAt: Date;
  readonly part: NamespacePart;
  /** Directories with values that can't be read. */
  readonly unreadable: ReadonlySet<string>;
}

/** An etcd whose history a backup belongs to, and how it is read. */
export interface EtcdReader {
  readonly clusterId: bigint;
  readonly revision: bigint;
  latestRevision(): Promise<bigint>;
  read(writer: NamespaceBackupWriter, scope: ExportScope): Promise<EtcdReading>;
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
    read: async (writer, scope) => {
      const { revision, readMs, part, objects, encryptedResources } = await readByAgent(
        node,
        run,
        writer,
        scope,
      );
      if (part === undefined)
        throw new GuardianError('agent.protocol', `the agent of ${node} told of no part`);
      const { name, plainSize, plainSha256, storedSize, storedSha256: sha256 } = part;
      return {
        ...{ revision, readAt: new Date(readMs), unreadable: new Set(encryptedResources) },
        part: repository.namespaces.describePart(writer, {
          ...{ kind: 'etcd', name, plainSize, plainSha256, storedSize, sha256, objects },
        }),
      };
    },
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

const PATIENCE_MS = 300_000;
const PAUSE_MS = 2_000;
const CANCEL_MS = 10_000;

async function readByAgent(
  node: string,
  run: BackupRunRequest,
  writer: NamespaceBackupWriter,
  scope: ExportScope,
): Promise<NamespacesResult> {
  const { tools, signal, onProgress } = run;
  // Of this attempt: another one has another place, which the part is bound to.
  const operation = `${run.operation}.${writer.id}`;
  const request = requestOf(run, writer, scope);
  let lastHeard = performance.now();
  for (;;) {
    try {
      return await tools.agents.withTerm(
        node,
        operation,
        async (agent, fence) => {
          for await (const update of agent.backUpNamespaces({ ...request, fence }, { signal })) {
            lastHeard = performance.now();
            const step = update.step === 'Uploading' ? 'Uploading' : 'Snapshotting';
            const { message, doneBytes, totalBytes } = update;
            onProgress({ step, message, doneBytes, totalBytes });
            if (update.namespaces !== undefined) return update.namespaces;
          }
          throw new GuardianError('agent.connection-lost', `the agent of ${node} told no end of it`, {
            retryable: true,
          });
        },
        signal,
      );
    } catch (error) {
      if (signal.aborted) await cancel(node, operation, run);
      signal.throwIfAborted();
      const goesOn = isAway(error) && performance.now() - lastHeard < PATIENCE_MS;
      if (!goesOn && !hasCode(error, 'agent.busy')) throw error;
    }
    await delay(PAUSE_MS * (0.5 + tools.random()), undefined, { signal });
  }
}

/** Nobody else joins this attempt's work. */
async function cancel(node: string, operation: string, { tools, signal }: BackupRunRequest): Promise<void> {
  try {
    const soon = AbortSignal.timeout(CANCEL_MS);
    const reason = reasonOf(signal.reason);
    await tools.agents.withTerm(
      node,
      operation,
      (agent, fence) => agent.cancelTask({ fence, reason }, { signal: soon }),
      soon,
    );
  } catch (error) {
    const text = `the agent of ${node} could not be told to stop: ${reasonOf(error)}`;
    tools.log.write('warning', 'backup-cancel', text, { operation });
  }
}

function isAway(error: unknown): boolean {
  return ['agent.connection-lost', 'agent.unreachable', 'agent.deadline', 'agent.closed'].some((code) =>
    hasCode(error, code),
  );
}

function requestOf(
  { backup, secrets, tools }: BackupRunRequest,
  { cluster, timeline, id }: NamespaceBackupWriter,
  { namespaces }: ExportScope,
): Sent<BackUpNamespacesRequest> {
  const { storageLocation } = backup.spec;
  const network = storeNetwork(storageLocation, rightsSettings(tools).tenantEndpoints);
  return {
    store: sentStore(storageLocation, secrets, network),
    keys: sentKeys(secrets),
    ...{ cluster, timeline, backupId: id, revision: 0n, prefix: tools.settings.etcdPrefix },
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
