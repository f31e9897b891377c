import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import { age, count, counted, fields } from '../output.ts';

/** What is known of one restore: first the result, then what it came from, then where it stands on each node. */
export function restoreText(restore: EtcdRestore, now: Date): string {
  const { metadata, spec, status = {} } = restore;
  const { restorePoint, objects, members = [], errors = [] } = status;
  const point =
    restorePoint?.revision === undefined
      ? undefined
      : `revision ${count(restorePoint.revision)}${restorePoint.time === undefined ? '' : ` of ${restorePoint.time}`}`;
  return [
    `restore ${metadata.namespace ?? ''}/${metadata.name}: ${restorePhase(restore)}\n`,
    status.message === undefined ? '' : `  ${status.message}\n`,
    fields([
      ['  dry run', spec.dryRun ? 'yes: nothing was changed' : undefined],
      ['  asked for by', spec.requestedBy?.username],
      ['  from backup', status.backupName ?? spec.backupName],
      ['  which lies at', status.snapshotLocation ?? spec.snapshotLocation],
      ['  restore point', point],
      ['  namespaces', spec.namespaceFilter?.join(', ')],
      [
        '  restored',
        objects === undefined && status.restoredKeys !== undefined
          ? counted(status.restoredKeys, 'key')
          : undefined,
      ],
      ['  objects', objects === undefined ? undefined : objectsText(objects)],
      ['  report', objects?.report === undefined ? undefined : `ConfigMap ${objects.report}`],
      ['  operation', status.operation],
      ['  age', metadata.creationTimestamp && age(new Date(metadata.creationTimestamp), now)],
    ]),
    ...members.map(
      ({ node, name, state = 'Planned', previousDataDir, message }) =>
        `  member ${name ?? '?'} on ${node}: ${state}${message === undefined ? '' : `: ${message}`}\n` +
        (previousDataDir === undefined ? '' : `    its old data is kept in ${previousDataDir}\n`),
    ),
    ...errors.slice(0, MOST_ERRORS).map((error) => `  error: ${error}\n`),
    errors.length > MOST_ERRORS ? `  … and ${counted(errors.length - MOST_ERRORS, 'other error')}\n` : '',
  ].join('');
}

const MOST_ERRORS = 20;

/** `Completed`, `Restoring (Staging)`, `Failed [restore.no-space]`. */
export function restorePhase({ status }: Pick<EtcdRestore, 'status'>): string {
  const { phase, step, reason } = status ?? {};
  if (phase === undefined) return 'not seen by the control plane yet';
  if (phase === 'Failed' && reason !== undefined) return `${phase} [${reason}]`;
  return phase === 'Completed' || phase === 'Failed' || step === undefined ? phase : `${phase} (${step})`;
}

type Objects = NonNullable<NonNullable<EtcdRestore['status']>['objects']>;

function objectsText({ created = 0, replaced = 0, skipped = 0, failed = 0 }: Objects): string {
  return `${count(created)} created, ${count(replaced)} replaced, ${count(skipped)} left alone, ${count(failed)} refused`;
}
