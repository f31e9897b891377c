import type { LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { ETCD_BACKUP_SCHEDULE_RESOURCE } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { keyOf } from '../../lib/kubernetes/object-key.ts';
import { fieldsOf, target } from '../backup/tell-backup.ts';
import type { EventTarget } from '../object-events.ts';
import type { ControlPlaneTools } from '../tools.ts';
import type { DrillParent } from './drill-series.ts';

type TellingTools = Pick<ControlPlaneTools, 'events' | 'log' | 'audit'>;

/** Events, a line of the log, and the audit's: for whoever reads which. */
export function tellBegun({ events, log }: TellingTools, backup: EtcdBackup, job: string): void {
  events.normal(target(backup), 'DrillStarted', `a restore of it is rehearsed by Job ${job}`, 'Drill');
  log.write('info', 'drill-started', `${keyOf(backup)}: rehearsed by Job ${job}`, {
    ...fieldsOf(backup),
    job,
  });
}

export function tellWaiting(
  { events, log }: TellingTools,
  backup: EtcdBackup,
  job: string,
  why: string,
): void {
  const text = `Job ${job} does not run: ${why}`;
  events.warning(target(backup), 'DrillWaiting', text, 'Drill');
  log.write('warning', 'drill-waiting', `${keyOf(backup)}: ${text}`, { ...fieldsOf(backup), job });
}

/** Others come first. */
export function tellPutOff({ events, log }: TellingTools, backup: EtcdBackup, why: string): void {
  const text = `its drill can't be prepared now, and is tried again: ${why}`;
  events.warning(target(backup), 'DrillPutOff', text, 'Drill');
  log.write('warning', 'drill-put-off', `${keyOf(backup)}: ${text}`, fieldsOf(backup));
}

/** A Job that nobody of us made, or an older version did, has the name of the next one. */
export function tellTaken(
  { events, log, namespace }: TellingTools & Pick<ControlPlaneTools, 'namespace'>,
  backup: EtcdBackup,
  job: string,
): void {
  const text = `Job ${job} is not ours and in the way: another name is taken. Delete it: kubectl delete job ${job} -n ${namespace}`;
  events.warning(target(backup), 'DrillNameTaken', text, 'Drill');
  log.write('warning', 'drill-name-taken', `${keyOf(backup)}: ${text}`, { ...fieldsOf(backup), job });
}

export function tellRefused({ events, log }: TellingTools, backup: EtcdBackup, message: string): void {
  events.warning(target(backup), 'DrillRefused', message, 'Drill');
  log.write('warning', 'drill-refused', `${keyOf(backup)}: ${message}`, fieldsOf(backup));
}

export function tellDrill(
  { events, log, audit }: TellingTools,
  backup: EtcdBackup,
  parent: DrillParent | undefined,
  { result = 'Unknown', message = '' }: LastDrill,
): void {
  const { namespace, name, uid } = backup.metadata;
  const { reason, level, event } = TOLD[result];
  const tell = (about: EventTarget, text: string): void => {
    if (result === 'Passed') events.normal(about, reason, text, 'Drill');
    else events.warning(about, reason, text, 'Drill');
  };
  tell(target(backup), message);
  if (parent !== undefined) tell(targetOf(parent), `${name}: ${message}`);
  log.write(level, event, `${keyOf(backup)}: ${message}`, fieldsOf(backup));
  audit({
    who: backup.spec.requestedBy,
    what: 'drill',
    resource: { kind: 'EtcdBackup', namespace, name, uid },
    result: result === 'Passed' ? 'succeeded' : 'failed',
    message: `${keyOf(backup)}: ${message}`,
    operation: uid,
  });
}

const TOLD = {
  Passed: { reason: 'DrillPassed', level: 'info', event: 'drill-passed' },
  Failed: { reason: 'DrillFailed', level: 'error', event: 'drill-failed' },
  Unknown: { reason: 'DrillNotHeld', level: 'warning', event: 'drill-not-held' },
} as const;

function targetOf(parent: DrillParent): EventTarget {
  if (parent.kind === 'EtcdBackup') return target(parent.object);
  const { apiVersion, kind } = ETCD_BACKUP_SCHEDULE_RESOURCE;
  return { apiVersion, kind, metadata: parent.object.metadata };
}
