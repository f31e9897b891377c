import type { EtcdBackupSchedule } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { keyOf } from '../../lib/kubernetes/object-key.ts';
import { selectsAll } from '../../lib/kubernetes/rights/required-rights.ts';
import { parentOf } from '../backup/backup-labels.ts';

/** Backups that are drilled in turn, the newest for all of them: the runs of one parent; or one backup alone. */
export interface DrillSeries {
  /** `KIND/NAMESPACE/NAME` of the parent, or of the backup alone. */
  readonly id: string;
  readonly namespace: string;
  /** Of the parent, or of the backup alone. */
  readonly name: string;
  /** Undefined: a backup alone, or a parent that is gone. */
  readonly parent: DrillParent | undefined;
  readonly isAlone: boolean;
  /** That could be drilled; the newest first. */
  readonly runs: readonly EtcdBackup[];
}

/** What makes the runs of a series, and remembers their drills when they are gone. */
export type DrillParent =
  | { readonly kind: 'EtcdBackup'; readonly object: EtcdBackup }
  | { readonly kind: 'EtcdBackupSchedule'; readonly object: EtcdBackupSchedule };

/** What a status tells of drills. */
export interface DrillRecord {
  readonly drill: LastDrill | undefined;
  /** Of the last one that was held to its end. */
  readonly lastDrillTime: string | undefined;
}

export function drillSeries(
  backups: readonly EtcdBackup[],
  schedules: readonly EtcdBackupSchedule[],
): DrillSeries[] {
  const parents = new Map<string, DrillParent>();
  for (const object of schedules)
    parents.set(`EtcdBackupSchedule/${keyOf(object)}`, { kind: 'EtcdBackupSchedule', object });
  for (const object of backups)
    if (isRecurring(object)) parents.set(`EtcdBackup/${keyOf(object)}`, { kind: 'EtcdBackup', object });

  const series = new Map<string, DrillSeries & { readonly runs: EtcdBackup[] }>();
  for (const backup of backups) {
    if (whyNotDrilled(backup) !== undefined) continue;
    const owner = parentOf(backup);
    const { namespace = '', name: own } = backup.metadata;
    const { kind, name } = owner ?? { kind: 'EtcdBackup', name: own };
    const id = `${kind}/${namespace}/${name}`;
    const parent = owner === undefined ? undefined : parents.get(id);
    const known = series.get(id) ?? { id, namespace, name, parent, isAlone: owner === undefined, runs: [] };
    known.runs.push(backup);
    series.set(id, known);
  }
  for (const { runs } of series.values()) runs.sort(byCompletion);
  return [...series.values()];
}

/** Why there is nothing in a backup that could be drilled, or not yet; undefined: it can be. */
export function whyNotDrilled(backup: EtcdBackup): 'unfinished' | Refusal | undefined {
  const { metadata, spec, status } = backup;
  if (isRecurring(backup))
    return {
      why: 'it is the schedule of its runs',
      hint: 'Annotate one of its runs: kubectl get etcdbackups shows them.',
    };
  if (!selectsAll(spec.namespaceSelector) || status?.namespaces !== undefined)
    return {
      why: 'it is a backup of namespaces, on which no etcd can be started',
      hint: 'Rehearse it by an EtcdRestore with dryRun: true.',
    };
  if (spec.storageLocation.provider === 'Local')
    return {
      why: 'it lies in a folder on a node, which no pod reaches',
      hint: 'Run "etcdguardian drill run" on that node.',
    };
  if (status?.phase === 'Failed') return { why: 'it failed', hint: 'Make another one.' };
  if (metadata.deletionTimestamp !== undefined) return 'unfinished';
  return status?.phase === 'Completed' && status.snapshotLocation !== undefined ? undefined : 'unfinished';
}

export interface Refusal {
  readonly why: string;
  readonly hint: string;
}

export function recordOf(parent: DrillParent): DrillRecord {
  if (parent.kind === 'EtcdBackup') return recordOfBackup(parent.object);
  const { drill, lastDrillTime } = parent.object.status ?? {};
  return { drill, lastDrillTime };
}

export function recordOfBackup({ status }: EtcdBackup): DrillRecord {
  const { drill, lastDrillTime } = status?.validationResult ?? {};
  return { drill, lastDrillTime };
}

/** A drill, and the backup that it was of. */
export interface KnownDrill {
  readonly drill: LastDrill;
  readonly timeMs: number;
  /** Undefined: the run is gone, only its parent tells. */
  readonly of: EtcdBackup | undefined;
}

/** The last drill of a series that was recorded. What lies in the future was written by a wrong clock, and is none. */
export function lastDrill(series: DrillSeries, now: Date): KnownDrill | undefined {
  const records: { readonly drill: LastDrill | undefined; readonly of: EtcdBackup | undefined }[] = [
    ...series.runs.map((run) => ({ drill: recordOfBackup(run).drill, of: run })),
    { drill: series.parent && recordOf(series.parent).drill, of: undefined },
  ];
  let last: KnownDrill | undefined;
  for (const { drill, of } of records) {
    const timeMs = pastMs(drill?.time, now);
    if (drill === undefined || timeMs === undefined) continue;
    if (last === undefined || timeMs > last.timeMs) last = { drill, timeMs, of };
  }
  return last;
}

/** When one of its drills was last held to its end. */
export function lastHeldMs(series: DrillSeries, now: Date): number | undefined {
  const records = [...series.runs.map(recordOfBackup), ...(series.parent ? [recordOf(series.parent)] : [])];
  const times = records.flatMap(({ lastDrillTime }) => pastMs(lastDrillTime, now) ?? []);
  return times.length === 0 ? undefined : Math.max(...times);
}

function pastMs(time: string | undefined, now: Date): number | undefined {
  const ms = Date.parse(time ?? '');
  return Number.isNaN(ms) || ms > now.getTime() ? undefined : ms;
}

/** The newest of its runs that asks for drills by the cadence. */
export function drilledByItself({ runs }: DrillSeries): EtcdBackup | undefined {
  return runs.find(({ spec: { validation } }) => validation.enabled && validation.consistencyCheck);
}

/** It has a schedule: it is its runs that are backups. */
export function isRecurring({ spec }: EtcdBackup): boolean {
  return (spec.schedule ?? '') !== '';
}

function byCompletion(a: EtcdBackup, b: EtcdBackup): number {
  const time = ({ status }: EtcdBackup): string => status?.completionTime ?? '';
  return time(b).localeCompare(time(a)) || a.metadata.name.localeCompare(b.metadata.name);
}
