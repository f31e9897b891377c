import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { age, bytes, count, counted, fields } from '../output.ts';

/** What is known of one backup: first the result, then why. */
export function backupText(backup: EtcdBackup, now: Date): string {
  const { metadata, spec, status = {} } = backup;
  const { restorePoint, validationResult: validation, source, namespaces, progress } = status;
  const point =
    restorePoint?.revision === undefined
      ? undefined
      : `revision ${count(restorePoint.revision)} of cluster ${restorePoint.cluster ?? '?'}, timeline ${restorePoint.timeline ?? '?'}`;
  const sizes =
    status.snapshotSize === undefined
      ? undefined
      : `${bytes(status.snapshotSize)} of etcd, ${bytes(status.storedSize ?? 0)} stored`;
  return [
    `backup ${metadata.namespace ?? ''}/${metadata.name}: ${phaseText(backup)}\n`,
    status.message === undefined ? '' : `  ${status.message}\n`,
    fields([
      ['  mode', status.effectiveMode ?? spec.backupMode],
      ['  schedule', spec.schedule],
      ['  asked for by', spec.requestedBy?.username],
      ['  restores to', point],
      ['  as of', restorePoint?.time ?? status.completionTime],
      ['  proof', proofText(backup)],
      ['  checked', validation?.verdict],
      ['  holds', namespaces === undefined ? undefined : namespacesText(namespaces)],
      ['  sizes', sizes],
      ['  lies at', status.snapshotLocation],
      ['  made by', source === undefined ? undefined : sourceText(source)],
      ['  so far', progress?.doneBytes === undefined ? undefined : bytes(progress.doneBytes)],
      ['  age', metadata.creationTimestamp && age(new Date(metadata.creationTimestamp), now)],
      ['  next run', status.nextBackupTime],
      ['  last good run', status.lastSuccessfulBackup],
    ]),
    ...(validation?.problems ?? []).map(({ code, message }) => `  problem ${code}: ${message}\n`),
    omittedText(namespaces?.omitted ?? []),
    ...(status.conditions ?? [])
      .filter(({ type, status: is }) => WARNINGS.includes(type) && is === 'True')
      .map(({ type, message }) => `  warning ${type}: ${message}\n`),
  ].join('');
}

/** Conditions that are bad when they hold. */
const WARNINGS = ['RequesterStale'];

/** `Completed`, `Running (Uploading)`, `Failed [store.denied]`. */
export function phaseText({ status }: Pick<EtcdBackup, 'status'>): string {
  const { phase, step, reason } = status ?? {};
  if (phase === undefined) return 'not seen by the control plane yet';
  if (phase === 'Failed' && reason !== undefined) return `${phase} [${reason}]`;
  return phase === 'Running' && step !== undefined ? `${phase} (${step})` : phase;
}

/** What shows that it equals etcd. */
export function proofText({ status }: Pick<EtcdBackup, 'status'>): string | undefined {
  const { proof, proofMessage, proofRevision } = status?.validationResult ?? {};
  const at = proofRevision === undefined ? '' : ` at revision ${count(proofRevision)}`;
  switch (proof) {
    case 'LiveHash':
      return `a live member has the same hash${at}`;
    case 'CompactionHash':
      return `it is the hash that a member had kept${at}`;
    case 'Mismatch':
      return `NO: ${proofMessage ?? 'a member has another hash'}`;
    case 'None':
      return `none${proofMessage === undefined ? '' : `: ${proofMessage}`}`;
    default:
      return undefined;
  }
}

function namespacesText({ names = [], count: all, objects = 0 }: Namespaces): string {
  const shown = names.slice(0, 5).join(', ');
  const more = (all ?? names.length) - Math.min(names.length, 5);
  return `${counted(objects, 'object')} of ${shown}${more > 0 ? ` and ${counted(more, 'other namespace')}` : ''}`;
}

/** Kinds that were left out for the same reason, together. */
function omittedText(omitted: NonNullable<Namespaces['omitted']>): string {
  const byReason = Map.groupBy(omitted, ({ reason }) => reason);
  return [...byReason]
    .map(([reason, kinds]) => `  left out: ${kinds.map(({ resource }) => resource).join(', ')}: ${reason}\n`)
    .join('');
}

type Namespaces = NonNullable<NonNullable<EtcdBackup['status']>['namespaces']>;
type Source = NonNullable<NonNullable<EtcdBackup['status']>['source']>;

function sourceText({ node, endpoint, etcdVersion, attempts = 1 }: Source): string {
  const who = node === undefined || node === '' ? 'the control plane' : `the agent of ${node}`;
  const etcd = etcdVersion === undefined ? '' : `, etcd ${etcdVersion}`;
  const from = endpoint === undefined ? '' : ` from ${endpoint}${etcd}`;
  return `${who}${from}${attempts > 1 ? `, at the ${attempts}th attempt` : ''}`;
}
