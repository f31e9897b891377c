import { OPERATION_LABEL } from '../../lib/backup/task/run-backup-task.ts';
import { clusterName } from '../../lib/backup/cluster-name.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { ExportScope, Omission } from '../../lib/kubernetes/export/export-scope.ts';
import type { SoundNamespaceBackup } from '../../lib/repository/namespace-backups.ts';
import { MOST_NAMESPACES, type NamespacePart } from '../../lib/repository/namespace-manifest.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import type { BackupOutcome, BackupRun, BackupRunRequest } from '../backup/backup-run.ts';
import { snapshotLocation } from '../backup/snapshot-location.ts';
import { noRequester } from '../secrets/secret-reader.ts';
import { findScope } from './find-scope.ts';
import type { AgentReading } from './ask-agent.ts';
import { agentReader, type EtcdReader, ownReader } from './read-etcd.ts';
import { readThroughApi } from './read-through-api.ts';
import { openStoreOfRun } from './store-of-run.ts';

/**
 * Backs up the namespaces that the requester may have: straight from etcd, at one revision, and what is encrypted there
 * through the API server as the requester. Rejects with `tenant.no-namespaces`, `tenant.too-many-namespaces`,
 * `tenant.other-cluster`, and the errors of store, keys, agents, etcd and API server.
 */
export const runNamespaceBackup: BackupRun = async (run) => {
  const { backup, judgement, operation, secrets, tools, signal, onProgress } = run;
  const { requestedBy: requester, storageLocation } = backup.spec;
  const tell = (message: string): void => {
    onProgress({ step: 'Preparing', message, doneBytes: 0, totalBytes: 0 });
  };

  // 1. Which namespaces, and by whose rights?
  if (judgement.refusal !== undefined) throw judgement.refusal;
  const { namespace: home = '' } = backup.metadata;
  if (requester === undefined && home !== tools.namespace) throw noRequester(home, tools.namespace);
  const { namespaces } = judgement.surroundings;
  if (namespaces.length === 0) throw noNamespaces();
  if (namespaces.length > MOST_NAMESPACES) throw tooMany(namespaces.length);

  // 2. Has it been made before?
  tell('opening the store');
  const { repository } = await openStoreOfRun(storageLocation, secrets, tools, operation, signal);
  const earlier = await madeBy(operation, repository, run);
  if (earlier !== undefined) return outcomeOf(repository, earlier, true);

  // 3. What of them, and who reads it?
  tell('asking which kinds there are, and which of them may be listed');
  const scope = await findScope(tools.kube, requester, namespaces, signal);
  const { etcdEndpoints: endpoints = [] } = backup.spec;
  const byAgent = await agentReader(run, repository).catch((error: unknown) => {
    if (endpoints.length > 0 && hasCode(error, 'controlplane.no-agent')) return undefined;
    throw error;
  });
  if (byAgent !== undefined) return await readAndCommit(run, repository, byAgent, scope);
  await using client = connectEtcd({ endpoints, tls: secrets.etcdTls });
  refuseOtherCluster(await clusterName(client, undefined, signal), tools.cluster);
  return await readAndCommit(run, repository, await ownReader(run, client, repository), scope);
};

async function readAndCommit(
  run: BackupRunRequest,
  repository: Repository,
  reader: EtcdReader,
  scope: ExportScope,
): Promise<BackupOutcome> {
  const { backup, labels, operation, tools, signal, onProgress } = run;
  const { requestedBy } = backup.spec;
  const writer = await repository.namespaces.begin(
    {
      cluster: tools.cluster,
      etcdClusterId: reader.clusterId,
      clusterRevision: reader.revision,
      latestRevision: () => reader.latestRevision(),
    },
    { signal },
  );
  const fromEtcd = await reader.read(writer, scope);
  onProgress({ step: 'Uploading', message: 'what etcd holds is stored', doneBytes: 0, totalBytes: 0 });
  const { parts, resources, omitted } = await withEncrypted(run, repository, writer, scope, fromEtcd);
  tools.leadership.requireLeading();
  const committed = await writer.commit(
    {
      ...{ revision: fromEtcd.revision, readAt: fromEtcd.readAt, parts, resources },
      omitted: omitted.slice(0, MOST_OMISSIONS),
      namespaces: scope.namespaces.map(({ namespace }) => namespace),
      requester: requestedBy && {
        username: requestedBy.username,
        uid: requestedBy.uid,
        groups: requestedBy.groups && [...requestedBy.groups],
      },
      labels: { ...labels, [OPERATION_LABEL]: operation },
    },
    { signal },
  );
  return outcomeOf(repository, committed, false);
}

const MOST_OMISSIONS = 2_000;

async function withEncrypted(
  { backup, tools, signal, onProgress }: BackupRunRequest,
  repository: Repository,
  writer: Awaited<ReturnType<Repository['namespaces']['begin']>>,
  scope: ExportScope,
  { part, revision, unreadable: directories }: AgentReading,
): Promise<{
  parts: NamespacePart[];
  resources: SoundNamespaceBackup['manifest']['resources'];
  omitted: Omission[];
}> {
  const plain = scope.resources
    .filter(({ directory }) => !directories.has(directory))
    .map(({ resource, directory }) => ({ resource, directory, part: 'etcd' as const }));
  const objects = { resource: NAMESPACES, directory: NAMESPACES };
  const inEtcd = directories.has(NAMESPACES) ? plain : [{ ...objects, part: 'etcd' as const }, ...plain];
  const omitted = [...scope.omitted];
  if (directories.size === 0) return { parts: [part], resources: inEtcd, omitted };
  const { requestedBy: requester } = backup.spec;
  const client = requester === undefined ? tools.kube : tools.kube.as(requester);
  const read = readThroughApi(client, {
    ...{ scope, directories, revision, signal },
    onKind: ({ resource }, count) => {
      const message = `${count} ${resource}, which are encrypted in etcd, through the API server`;
      onProgress({ step: 'Uploading', message, doneBytes: 0, totalBytes: 0 });
    },
  });
  const apiPart = await repository.namespaces.putPart(writer, 'api', read.records, { signal });
  const ofApi = directories.has(NAMESPACES) ? [{ ...objects, part: 'api' as const }] : [];
  return {
    parts: [part, apiPart],
    resources: [...inEtcd, ...ofApi, ...read.resources],
    omitted: [...omitted, ...read.omitted],
  };
}

const NAMESPACES = 'namespaces';
const LONGEST_OPERATION_MS = 48 * 3_600_000;

/** Removed ones count too: the operation was done. */
async function madeBy(
  operation: string,
  repository: Repository,
  { tools: { cluster, clock }, signal }: BackupRunRequest,
): Promise<SoundNamespaceBackup | undefined> {
  const since = new Date(clock().getTime() - LONGEST_OPERATION_MS);
  const entries = await repository.namespaces.list(cluster, { includeRemoved: true, since, signal });
  return entries.find(
    (entry): entry is SoundNamespaceBackup =>
      entry.state === 'sound' && entry.manifest.labels?.[OPERATION_LABEL] === operation,
  );
}

const MOST_NAMES_TOLD = 1_000;
const MOST_OMISSIONS_TOLD = 200;

function outcomeOf(repository: Repository, backup: SoundNamespaceBackup, found: boolean): BackupOutcome {
  const { cluster, timeline, id, manifest } = backup;
  const { revision, readAt, parts, namespaces, omitted } = manifest;
  const sum = (of: (part: NamespacePart) => number): number =>
    parts.reduce((total, part) => total + of(part), 0);
  const objects = sum((part) => part.objects);
  return {
    ...{ location: repository.location, cluster, mode: 'FULL', modeReason: '', found },
    point: { timeline, chain: id, revision },
    pointTimeMs: readAt.getTime(),
    snapshotBytes: sum(({ plainSize }) => plainSize),
    storedBytes: sum(({ storedSize }) => storedSize),
    snapshotLocation: snapshotLocation({
      ...{ store: repository.location, cluster, timeline, chain: id },
      ...{ revision: undefined, ofNamespaces: true },
    }),
    validation: {
      ...{ verdict: 'Skipped', proof: 'None', proofRevision: 0n, hashKv: 0, compactRevision: 0n },
      proofMessage: 'members keep no hash of single namespaces; each part has a SHA-256 of its own',
      ...{ totalKeys: objects, sha256: '' },
    },
    namespaces: {
      names: namespaces.slice(0, MOST_NAMES_TOLD),
      count: namespaces.length,
      objects,
      omitted: omitted.slice(0, MOST_OMISSIONS_TOLD).map(told),
    },
  };
}

function told({ resource, namespaces, reason }: Omission): { resource: string; reason: string } {
  return { resource, reason: namespaces === undefined ? reason : `${reason} (${namespaces.join(', ')})` };
}

function noNamespaces(): GuardianError {
  return new GuardianError('tenant.no-namespaces', 'namespaceSelector selects no namespace', {
    hint: 'See `kubectl get namespaces --show-labels`, and correct the selector.',
  });
}

function tooMany(count: number): GuardianError {
  return new GuardianError(
    'tenant.too-many-namespaces',
    `namespaceSelector selects ${count} namespaces; one backup holds up to ${MOST_NAMESPACES}`,
    { hint: 'Select fewer, or back the whole cluster up.' },
  );
}

function refuseOtherCluster(found: string, ours: string): void {
  if (found === ours) return;
  throw new GuardianError(
    'tenant.other-cluster',
    `the etcd of etcdEndpoints is that of cluster ${found}, and namespaces are those of this one (${ours})`,
    { hint: 'Back the whole etcd up, without namespaceSelector; or run the control plane in that cluster.' },
  );
}
