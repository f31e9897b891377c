import { randomBytes } from 'node:crypto';
import { GuardianError } from '../../lib/guardian-error.ts';
import { directoryOfKey, parseRecordKey } from '../../lib/keyspace/resource-directory.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { UntrustedRecord } from '../../lib/kubernetes/import/stored-record.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { newBackupId } from '../../lib/repository/backup-id.ts';
import type { SoundNamespaceBackup } from '../../lib/repository/namespace-backups.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { sentKeys, sentStore } from '../backup/agent-run.ts';
import { rightsSettings } from '../judge-asked.ts';
import type { SnapshotPlace } from '../backup/snapshot-location.ts';
import { askAgent } from '../namespace-backup/ask-agent.ts';
import { findPoint } from '../restore/restore-point.ts';
import type { NamespaceRestoreRequest } from './restore-request.ts';

/** What is to be restored, before any of it is read. */
export interface RestoreInput {
  readonly namespaces: readonly string[];
  /** To be called once the requester is known to have the right to these namespaces. */
  open(): Promise<OpenedInput>;
}

export interface OpenedInput {
  readonly revision: bigint;
  /** The namespaces that are in there. */
  readonly held: ReadonlySet<string>;
  readonly records: AsyncIterable<UntrustedRecord>;
}

/** A backup of namespaces. Rejects with `tenant.not-in-backup`, and as the repository does. */
export async function namespacesInput(
  restore: EtcdRestore,
  { cluster, chain }: SnapshotPlace,
  repository: Repository,
  signal: AbortSignal,
): Promise<RestoreInput> {
  const backup = await repository.namespaces.find(cluster, chain, { signal });
  const { revision, namespaces } = backup.manifest;
  return {
    namespaces: wanted(restore, backup),
    open: () =>
      Promise.resolve({
        ...{ revision, held: new Set(namespaces) },
        records: recordsOf(repository, backup, signal),
      }),
  };
}

/** What of a part doesn't count, because the manifest says that the other part holds it, is passed over. */
async function* recordsOf(
  { namespaces }: Repository,
  backup: SoundNamespaceBackup,
  signal: AbortSignal,
): AsyncGenerator<UntrustedRecord, void> {
  const { parts, resources } = backup.manifest;
  for (const part of parts) {
    const ofOther = new Set(
      resources.filter((one) => one.part !== part.kind).map(({ directory }) => directory),
    );
    for await (const record of namespaces.readPart(backup, part, { signal })) {
      const key = parseRecordKey(record.key);
      if (key === undefined || !ofOther.has(directoryOfKey(record.key, key))) yield record;
    }
  }
}

function wanted({ spec }: EtcdRestore, { id, manifest }: SoundNamespaceBackup): string[] {
  const filter = [...new Set(spec.namespaceFilter ?? [])];
  if (filter.length === 0) return [...manifest.namespaces].sort();
  const missing = filter.filter((name) => !manifest.namespaces.includes(name));
  if (missing.length === 0) return filter.sort();
  const shown = manifest.namespaces.slice(0, 10).join(', ');
  throw new GuardianError(
    'tenant.not-in-backup',
    `backup ${id} doesn't hold namespace ${missing.join(', ')}, but ${shown}`,
    { hint: 'Correct namespaceFilter, or name another backup.' },
  );
}

/**
 * Namespaces out of a backup of the whole cluster: an agent, on whose node all of etcd lies anyway, takes them out of the
 * point into a part that nobody commits, so that a sweep takes it after a day. Throws `tenant.no-namespaces` without a
 * filter; `open` rejects as `findPoint` and the agent do.
 */
export function clusterInput(request: NamespaceRestoreRequest, repository: Repository): RestoreInput {
  const { restore, place, storageLocation, secrets, tools, signal, onProgress } = request;
  const namespaces = [...new Set(restore.spec.namespaceFilter ?? [])].sort();
  if (namespaces.length === 0) {
    throw new GuardianError('tenant.no-namespaces', 'no namespace of the cluster’s backup is named', {
      hint: 'Name them in namespaceFilter.',
    });
  }
  return {
    namespaces,
    async open() {
      const hasKey = secrets.keys.encryption.length > 0;
      const { facts } = await findPoint(repository, place, restore.spec, hasKey, signal);
      const { cluster, timeline, chain, revision } = facts;
      const { agent } = await tools.agents.choose({}, signal);
      const id = newBackupId(tools.clock(), randomBytes);
      const network = storeNetwork(storageLocation, rightsSettings(tools).tenantEndpoints);
      const partPlace = { cluster, timeline, id };
      const { part } = await askAgent({
        ...{ node: agent.node, place: partPlace, repository, tools, signal },
        operation: `${restore.metadata.uid ?? ''}.${id}`,
        request: {
          ...{ store: sentStore(storageLocation, secrets, network), keys: sentKeys(secrets) },
          ...{ prefix: tools.settings.etcdPrefix, point: { timeline, chain, revision } },
          namespaces: namespaces.map((namespace) => ({ namespace })),
        },
        onUpdate: ({ message }) => {
          onProgress(`${agent.node}: ${message}`);
        },
      });
      return {
        ...{ revision, held: new Set(namespaces) },
        records: repository.namespaces.readPart(partPlace, part, { signal }),
      };
    },
  };
}
