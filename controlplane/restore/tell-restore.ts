import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { EtcdRestoreStatus } from '../../lib/kubernetes/api/etcd-restore-status.ts';
import { keyOf } from '../../lib/kubernetes/object-key.ts';
import type { EventTarget } from '../object-events.ts';
import type { ControlPlaneTools } from '../tools.ts';

type TellingTools = Pick<ControlPlaneTools, 'events' | 'log' | 'audit'>;
type EndTools = TellingTools & Pick<ControlPlaneTools, 'metrics'>;

/** Events, a line of the log, and the audit's: for whoever reads which. */
export function tellRestoreStart({ events, log, audit }: TellingTools, restore: EtcdRestore): void {
  const { restoreMode, dryRun } = restore.spec;
  const what = `${dryRun ? 'a dry run of ' : ''}a restore of the whole cluster (${restoreMode})`;
  events.normal(target(restore), 'RestoreStarted', `${what} was begun`);
  log.write('warning', 'restore-started', `${keyOf(restore)}: ${what} begins`, fieldsOf(restore));
  audit({ ...about(restore), result: 'started' });
}

export function tellRestoreEnd(
  { events, log, audit, metrics }: EndTools,
  restore: EtcdRestore,
  { phase, message = '', reason, restoredRevision, startTime, completionTime }: EtcdRestoreStatus,
): void {
  const failed = phase === 'Failed';
  const { dryRun, restoreMode } = restore.spec;
  if (!dryRun) metrics.restoreTotal.inc({ status: failed ? 'Failed' : 'Completed' });
  if (!dryRun && startTime !== undefined && completionTime !== undefined)
    metrics.restoreDuration.observe(
      { restore_mode: restoreMode },
      Math.max(0, Date.parse(completionTime) - Date.parse(startTime)) / 1000,
    );
  if (failed) events.warning(target(restore), 'RestoreFailed', message);
  else events.normal(target(restore), 'RestoreCompleted', message);
  log.write(
    failed ? 'error' : 'info',
    failed ? 'restore-failed' : 'restore-completed',
    `${keyOf(restore)}: ${message}`,
    { ...fieldsOf(restore), ...(reason === undefined ? {} : { code: reason }), revision: restoredRevision },
  );
  audit({ ...about(restore), result: failed ? 'failed' : 'succeeded', reason });
}

function about({ metadata: { namespace, name, uid }, spec }: EtcdRestore) {
  return {
    who: spec.requestedBy,
    what: 'restore',
    resource: { kind: 'EtcdRestore', namespace, name, uid },
    scope: 'cluster',
    operation: uid,
  };
}

function target({ metadata }: EtcdRestore): EventTarget {
  const { apiVersion, kind } = ETCD_RESTORE_RESOURCE;
  return { apiVersion, kind, metadata };
}

function fieldsOf(restore: EtcdRestore): { restore: string; operation: string | undefined } {
  return { restore: keyOf(restore), operation: restore.metadata.uid };
}
