import { openEphemeralFile } from '../../lib/encryption/ephemeral-file.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { RestoredObjects } from '../../lib/kubernetes/api/etcd-restore-status.ts';
import type { StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { discovery } from '../../lib/kubernetes/discovery.ts';
import { importObjects } from '../../lib/kubernetes/import/import-objects.ts';
import type { ObjectOutcome, UntrustedRecord } from '../../lib/kubernetes/import/stored-record.ts';
import { judgeRights } from '../../lib/kubernetes/rights/judge-rights.ts';
import type { RestoreSource } from '../../lib/kubernetes/rights/required-rights.ts';
import { parseRecordKey, directoryOfKey } from '../../lib/keyspace/resource-directory.ts';
import type { SoundNamespaceBackup } from '../../lib/repository/namespace-backups.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { rightsSettings } from '../backup/judge-backup.ts';
import type { SnapshotPlace } from '../backup/snapshot-location.ts';
import { openStoreOfRun } from '../namespace-backup/store-of-run.ts';
import type { RunSecrets } from '../secrets/backup-secrets.ts';
import { noRequester } from '../secrets/secret-reader.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { countsOf, reportText, writeReport } from './restore-report.ts';

/** A restore of namespaces, with everything that its spec names already followed. */
export interface NamespaceRestoreRequest {
  readonly restore: EtcdRestore;
  /** Where the backup lies. */
  readonly place: SnapshotPlace;
  readonly storageLocation: StorageLocation;
  /** Read for this attempt as the requester. */
  readonly secrets: Pick<RunSecrets, 'store' | 'keys'>;
  /** What `backupName` means, for the rights. */
  readonly source: RestoreSource | undefined;
  readonly tools: ControlPlaneTools;
  /** Aborts when leadership ends, and when the restore is deleted. */
  readonly signal: AbortSignal;
  readonly onProgress: (message: string) => void;
}

export interface NamespaceRestoreOutcome {
  readonly objects: RestoredObjects;
  /** In sentences; the first 100. */
  readonly errors: readonly string[];
  readonly restoredRevision: bigint;
  /** Objects created or replaced. */
  readonly restoredKeys: number;
  readonly namespaces: readonly string[];
  /** Set where some objects could not be restored; the others were. */
  readonly problem: GuardianError | undefined;
}

/**
 * Restores namespaces through the API server with the requester's rights. Begun again, by another replica too, it goes on
 * where it ended. Rejects with `tenant.not-in-backup`, `tenant.cluster-backup`, those of `importObjects`, with
 * `admission.forbidden` and `controlplane.no-requester`, and the errors of store, keys and repository.
 */
export async function runNamespaceRestore(
  request: NamespaceRestoreRequest,
): Promise<NamespaceRestoreOutcome> {
  const { restore, place, storageLocation, secrets, tools, signal, onProgress } = request;
  const { requestedBy: requester, dryRun, conflictPolicy } = restore.spec;
  const { namespace: home = '', uid = '' } = restore.metadata;
  if (requester === undefined) throw noRequester(home, tools.namespace);

  // 1. What is in the backup, and what of it is wanted?
  onProgress('reading the backup');
  if (place.ofNamespaces !== true) throw ofCluster();
  const { repository } = await openStoreOfRun(storageLocation, secrets, tools, uid, signal);
  const backup = await repository.namespaces.find(place.cluster, place.chain, { signal });
  const namespaces = wanted(restore, backup);

  // 2. May the requester have these, now? What the backup says of itself grants nothing.
  await judge(request, namespaces);

  // 3. Through the API server, as the requester.
  const client = tools.kube.as(requester);
  const served = await discovery(client).get({ signal });
  await using values = await openEphemeralFile(tools.settings.spoolDir);
  const { outcomes } = await importObjects({
    ...{ client, ownClient: tools.kube, restore: uid, conflictPolicy, dryRun, signal },
    ...{ namespaces, held: new Set(backup.manifest.namespaces), served: served.resources },
    ...{ records: recordsOf(repository, backup, signal), place: values },
    onProgress: (done, total) => {
      onProgress(`${done} of ${total} objects`);
    },
  });
  const report = await writeReport(client, restore, reportText(outcomes, dryRun), signal).catch(
    asGuardianError,
  );
  return outcomeOf(backup, namespaces, outcomes, report);
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

async function judge(
  { restore, source, tools, signal }: NamespaceRestoreRequest,
  namespaces: readonly string[],
): Promise<void> {
  const { name, namespace = '', uid } = restore.metadata;
  const { requestedBy: requester } = restore.spec;
  if (requester === undefined) throw noRequester(namespace, tools.namespace);
  const spec = { ...restore.spec, namespaceFilter: [...namespaces] };
  const asked = { kind: 'EtcdRestore', namespace, spec } as const;
  const known = { namespaces, source };
  const { refusal } = await judgeRights(tools.kube, requester, asked, rightsSettings(tools), signal, known);
  tools.audit({
    ...{ who: requester, what: 'restore', operation: uid, scope: namespaces },
    resource: { kind: 'EtcdRestore', namespace, name, uid },
    ...{ result: refusal === undefined ? 'allowed' : 'denied', reason: refusal?.code },
    message: refusal?.message,
  });
  if (refusal !== undefined) throw refusal;
}

const MOST_ERRORS = 100;

function outcomeOf(
  { manifest }: SoundNamespaceBackup,
  namespaces: readonly string[],
  outcomes: readonly ObjectOutcome[],
  report: string | GuardianError,
): NamespaceRestoreOutcome {
  const counts = countsOf(outcomes);
  const failed = outcomes.filter(({ result }) => result === 'failed');
  const sentences = failed.map(({ object, reason }) => `${object}: ${reason}`);
  const written = typeof report === 'string';
  return {
    objects: { ...counts, ...(written ? { report } : {}) },
    errors: [...(written ? [] : [report.message]), ...sentences].slice(0, MOST_ERRORS),
    restoredRevision: manifest.revision,
    restoredKeys: counts.created + counts.replaced,
    namespaces,
    problem:
      failed.length === 0 ? undefined : partly(failed.length, counts.created + counts.replaced, sentences[0]),
  };
}

function partly(failed: number, restored: number, first = ''): GuardianError {
  return new GuardianError(
    'tenant.objects-failed',
    `${failed} objects could not be restored, ${restored} were; the first: ${first}`,
    {
      hint: 'status.objects.report names the ConfigMap that tells of each object; restore again with conflictPolicy Skip once it is mended.',
    },
  );
}

function ofCluster(): GuardianError {
  return new GuardianError(
    'tenant.cluster-backup',
    'this is a backup of the whole cluster, and single namespaces of one are not restored by this version',
    {
      hint: 'Back namespaces up with namespaceSelector; or restore the point into an etcd of its own, and take the objects from there.',
    },
  );
}

function asGuardianError(error: unknown): GuardianError {
  if (error instanceof GuardianError && hasCode(error, 'tenant.report')) return error;
  throw error;
}
