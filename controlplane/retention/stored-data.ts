import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { KubeObject, KubeResource } from '../../lib/kubernetes/kube-client.ts';
import { errorText } from '../../lib/log-lines.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { type BackupWatch, backupWatch } from '../backup/backup-watch.ts';
import { STORED_DATA } from '../backup/stored-data-finalizer.ts';
import { target } from '../backup/tell-backup.ts';
import type { Again, Controller } from '../controller.ts';
import { NAMESPACES } from '../core-resources.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { openStored } from './open-stored.ts';

/** So long a store that is out of reach holds up a deletion; then the data stays, and an Event tells. */
const PATIENCE_MS = 24 * 3_600_000;
const CONFLICT_MS = 200;
const DEFINITIONS: KubeResource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
};

/**
 * Removes what an EtcdBackup with `deletionPolicy: Delete` has stored, before it goes. Never where its namespace, our
 * own, or the resource's definition is being deleted: whoever takes an installation away does not mean the backups.
 */
export function storedData(tools: ControlPlaneTools): Controller {
  let watch: BackupWatch | undefined;
  return {
    name: 'stored-data',
    workers: 2,
    async start(queue, signal) {
      const all = (watch = backupWatch(tools, signal));
      all.listen((key) => {
        if (isWaiting(all.get(key))) queue.add(key);
      });
      await all.synced;
    },
    async reconcile(key, signal): Promise<Again | undefined> {
      const backup = watch?.get(key);
      if (backup === undefined || !isWaiting(backup)) return undefined;
      try {
        await release(backup, await outcomeOf(backup, watch?.list() ?? [], tools, signal), tools, signal);
        return undefined;
      } catch (error) {
        if (hasCode(error, 'kubernetes.conflict')) return { afterMs: CONFLICT_MS };
        if (hasCode(error, 'kubernetes.not-found')) return undefined;
        if (!signal.aborted) tellWaiting(backup, error, tools);
        throw error;
      }
    },
  };
}

/** Whoever waits for `kubectl delete` asks with `kubectl describe` what holds it up. */
function tellWaiting(backup: EtcdBackup, error: unknown, tools: ControlPlaneTools): void {
  const text = `what it has stored can't be removed yet: ${errorText(error)}. It is tried again; 24 h after the deletion it stays where it is`;
  tools.events.warning(target(backup), 'DataNotRemoved', text);
}

function isWaiting(backup: EtcdBackup | undefined): backup is EtcdBackup {
  const { deletionTimestamp, finalizers = [] } = backup?.metadata ?? {};
  return deletionTimestamp !== undefined && finalizers.includes(STORED_DATA);
}

/** `kept`: why the data stays. */
type Outcome =
  | { readonly kind: 'removed'; readonly ids: readonly string[] }
  | { readonly kind: 'kept'; readonly why: string };

async function outcomeOf(
  backup: EtcdBackup,
  all: readonly EtcdBackup[],
  tools: ControlPlaneTools,
  signal: AbortSignal,
): Promise<Outcome> {
  const going = await whatGoesAway(backup, tools, signal);
  if (going !== undefined) return { kind: 'kept', why: `${going} is being deleted as well` };
  const { restorePoint: point, effectiveMode } = backup.status ?? {};
  if (effectiveMode === 'Incremental')
    return { kind: 'kept', why: 'an increment belongs to its chain, which others need' };
  const follower = all.find(
    ({ metadata, status }) =>
      metadata.uid !== backup.metadata.uid &&
      status?.effectiveMode === 'Incremental' &&
      status.restorePoint?.cluster === point?.cluster &&
      status.restorePoint?.chain === point?.chain,
  );
  if (point !== undefined && follower !== undefined)
    return {
      kind: 'kept',
      why: `increment ${follower.metadata.namespace ?? ''}/${follower.metadata.name} needs it`,
    };
  if (backup.status?.startTime === undefined) return { kind: 'removed', ids: [] };
  try {
    const repository = await openStored(backup, tools, signal);
    return { kind: 'removed', ids: await removeFrom(repository, backup, tools, signal) };
  } catch (error) {
    signal.throwIfAborted();
    const waitedMs = tools.clock().getTime() - new Date(backup.metadata.deletionTimestamp ?? '').getTime();
    const isFinal = error instanceof GuardianError && error.code === 'controlplane.unsupported';
    if (!isFinal && waitedMs < PATIENCE_MS) throw error;
    return { kind: 'kept', why: `it could not be removed: ${errorText(error)}` };
  }
}

/**
 * Whatever the operation has committed, by what the signed manifests say: a run that was cut off may have, though no
 * status says so, and what a status says is not believed where data is removed.
 */
async function removeFrom(
  repository: Repository,
  { metadata, status }: EtcdBackup,
  tools: ControlPlaneTools,
  signal: AbortSignal,
): Promise<string[]> {
  const request = {
    by: tools.pod.name,
    reason: `EtcdBackup ${metadata.namespace ?? ''}/${metadata.name} was deleted`,
  };
  const { OPERATION_LABEL } = await import('../../lib/backup/task/run-backup-task.ts');
  const ids: string[] = [];
  for (const name of await repository.listClusters({ signal })) {
    const since = sinceOf(status?.startTime);
    const entries = [
      ...(await repository.listBackups(name, { since, signal })),
      ...(await repository.namespaces.list(name, { since, signal })),
    ];
    for (const entry of entries) {
      if (entry.state !== 'sound' || entry.manifest.labels?.[OPERATION_LABEL] !== metadata.uid) continue;
      await repository.removeBackup(entry, request, { signal });
      ids.push(entry.id);
    }
  }
  return ids;
}

/** Clocks of who stores may be behind ours. */
function sinceOf(startTime: string | undefined): Date {
  return new Date(new Date(startTime ?? 0).getTime() - 2 * 3_600_000);
}

async function release(
  backup: EtcdBackup,
  outcome: Outcome,
  tools: ControlPlaneTools,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name, uid, resourceVersion, finalizers = [] } = backup.metadata;
  const at = backup.status?.snapshotLocation ?? 'its store';
  const text =
    outcome.kind === 'removed'
      ? `what it had stored at ${at} was removed, and can be had back for 24 h`
      : `what it has stored at ${at} stays: ${outcome.why}`;
  if (outcome.kind === 'removed') tools.events.normal(target(backup), 'DataRemoved', text);
  else tools.events.warning(target(backup), 'DataKept', text);
  tools.audit({
    who: backup.spec.requestedBy,
    what: 'delete-data',
    resource: { kind: 'EtcdBackup', namespace, name, uid },
    result: outcome.kind === 'removed' ? 'succeeded' : 'denied',
    message: `${namespace ?? ''}/${name}: ${text}`,
    operation: uid,
  });
  await tools.kube.mergePatch(
    { resource: ETCD_BACKUP_RESOURCE, namespace, name },
    { metadata: { uid, resourceVersion, finalizers: finalizers.filter((one) => one !== STORED_DATA) } },
    { signal },
  );
}

async function whatGoesAway(
  { metadata }: EtcdBackup,
  { kube, namespace: ours }: ControlPlaneTools,
  signal: AbortSignal,
): Promise<string | undefined> {
  const isGoing = async (resource: KubeResource, name: string): Promise<boolean> => {
    try {
      const { metadata: found } = await kube.get<KubeObject>({ resource, name }, { signal });
      return found.deletionTimestamp !== undefined;
    } catch (error) {
      if (hasCode(error, 'kubernetes.not-found')) return true;
      throw error;
    }
  };
  for (const name of new Set([metadata.namespace ?? '', ours]))
    if (await isGoing(NAMESPACES, name)) return `namespace ${name}`;
  const { plural, group } = ETCD_BACKUP_RESOURCE;
  return (await isGoing(DEFINITIONS, `${plural}.${group}`)) ? 'the definition of EtcdBackups' : undefined;
}
