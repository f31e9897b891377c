import { openEphemeralFile } from '../../lib/encryption/ephemeral-file.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { RestoredObjects } from '../../lib/kubernetes/api/etcd-restore-status.ts';
import { discovery } from '../../lib/kubernetes/discovery.ts';
import { importObjects } from '../../lib/kubernetes/import/import-objects.ts';
import type { ObjectOutcome } from '../../lib/kubernetes/import/stored-record.ts';
import { judgeRights } from '../../lib/kubernetes/rights/judge-rights.ts';
import { rightsSettings } from '../judge-asked.ts';
import { openStoreOfRun } from '../namespace-backup/store-of-run.ts';
import { noRequester } from '../secrets/secret-reader.ts';
import { clusterInput, namespacesInput } from './restore-input.ts';
import type { NamespaceRestoreRequest } from './restore-request.ts';
import { countsOf, reportText, writeReport } from './restore-report.ts';

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
 * where it ended. Rejects with `tenant.not-in-backup`, `tenant.no-namespaces`, those of `importObjects`, with
 * `admission.forbidden` and `controlplane.no-requester`, and the errors of store, keys and repository.
 */
export async function runNamespaceRestore(
  request: NamespaceRestoreRequest,
): Promise<NamespaceRestoreOutcome> {
  const { restore, place, storageLocation, secrets, tools, signal, onProgress } = request;
  const { requestedBy: requester, dryRun, conflictPolicy } = restore.spec;
  const { namespace: home = '', uid = '' } = restore.metadata;
  if (requester === undefined) throw noRequester(home, tools.namespace);

  // 1. What of the backup is wanted, and may the requester have that, now? What a backup says grants nothing.
  onProgress('reading the backup');
  const { repository } = await openStoreOfRun(storageLocation, secrets, tools, uid, signal);
  const input =
    place.ofNamespaces === true
      ? await namespacesInput(restore, place, repository, signal)
      : clusterInput(request, repository);
  const { namespaces } = input;
  await judge(request, namespaces);

  // 2. The objects.
  const { revision, held, records } = await input.open();

  // 3. Through the API server, as the requester.
  const client = tools.kube.as(requester);
  const served = await discovery(client).get({ signal });
  await using values = await openEphemeralFile(tools.settings.spoolDir);
  const { outcomes } = await importObjects({
    ...{ client, ownClient: tools.kube, restore: uid, conflictPolicy, dryRun, signal },
    ...{ namespaces, held, served: served.resources },
    ...{ records, place: values },
    onProgress: (done, total) => {
      onProgress(`${done} of ${total} objects`);
    },
  });
  const report = await writeReport(client, restore, reportText(outcomes, dryRun), signal).catch(
    asGuardianError,
  );
  return outcomeOf(revision, namespaces, outcomes, report);
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
  restoredRevision: bigint,
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
    restoredRevision,
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

function asGuardianError(error: unknown): GuardianError {
  if (error instanceof GuardianError && hasCode(error, 'tenant.report')) return error;
  throw error;
}
