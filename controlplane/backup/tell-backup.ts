import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { keyOf } from '../../lib/kubernetes/object-key.ts';
import type { EventTarget } from '../object-events.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { failureOf } from './backup-status.ts';
import type { RunEnd } from './live-run.ts';

type TellingTools = Pick<ControlPlaneTools, 'events' | 'log' | 'audit'>;

/** Events, a line of the log, and the audit's: for whoever reads which. */
export function tellStart({ events, log }: TellingTools, backup: EtcdBackup): void {
  const mode = backup.spec.backupMode === 'Full' ? 'a full backup' : 'an increment';
  events.normal(target(backup), 'BackupStarted', `${mode} to ${placeText(backup)} was begun`);
  log.write('info', 'backup-started', `${keyOf(backup)}: begun`, fieldsOf(backup));
}

export function tellRetry(
  { events, log }: TellingTools,
  backup: EtcdBackup,
  error: unknown,
  pauseMs: number,
): void {
  const { reason, message } = failureOf(error);
  const text = `${message} Trying again in ${Math.round(pauseMs / 1000)} s.`;
  // Without the time, so that one Event counts all of the same cause.
  events.warning(target(backup), 'BackupRetried', `${message} It is tried again.`);
  log.write('warning', 'backup-retried', `${keyOf(backup)}: ${text} [${reason}]`, {
    ...fieldsOf(backup),
    code: reason,
    pauseMs,
  });
}

export function tellEnd(
  { events, log, audit }: TellingTools,
  backup: EtcdBackup,
  status: EtcdBackupStatus,
  end: RunEnd,
): void {
  const { namespace, name, uid } = backup.metadata;
  const failed = 'error' in end;
  const message = status.message ?? '';
  if (failed) events.warning(target(backup), 'BackupFailed', message);
  else events.normal(target(backup), 'BackupCompleted', message);
  const code = status.reason === undefined ? {} : { code: status.reason };
  log.write(
    failed ? 'error' : 'info',
    failed ? 'backup-failed' : 'backup-completed',
    `${keyOf(backup)}: ${message}`,
    { ...fieldsOf(backup), ...code, location: status.snapshotLocation, revision: status.etcdRevision },
  );
  audit({
    who: backup.spec.requestedBy,
    what: 'backup',
    resource: { kind: 'EtcdBackup', namespace, name, uid },
    result: failed ? 'failed' : 'succeeded',
    reason: status.reason,
    operation: uid,
  });
}

export function target(backup: EtcdBackup): EventTarget {
  const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
  return { apiVersion, kind, metadata: backup.metadata };
}

function placeText({ spec: { storageLocation } }: EtcdBackup): string {
  const { provider, bucket, prefix = '' } = storageLocation;
  return `${provider} ${bucket}${prefix === '' ? '' : `/${prefix}`}`;
}

/** Of lines of the log. */
export function fieldsOf(backup: EtcdBackup): { backup: string; operation: string | undefined } {
  return { backup: keyOf(backup), operation: backup.metadata.uid };
}
