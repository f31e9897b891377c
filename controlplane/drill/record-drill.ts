import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackupStatus, LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupScheduleStatus } from '../../lib/kubernetes/api/etcd-backup-schedule-status.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { writeStatus } from '../../lib/kubernetes/write-status.ts';
import type { DrillOutcome } from './drill-outcome.ts';
import { type DrillParent, type DrillRecord, isRecurring, recordOf, recordOfBackup } from './drill-series.ts';

/** A record that tells of a drill. */
export interface WrittenRecord extends DrillRecord {
  readonly drill: LastDrill;
}

/** What is to be written down of a drill of this backup. `before`: how many of its series in a row could not be held. */
export function recordOfOutcome(
  backup: EtcdBackup,
  outcome: DrillOutcome,
  { requested, before, now }: { requested: string | undefined; before: number; now: Date },
): WrittenRecord {
  const { drill: known, lastDrillTime } = recordOfBackup(backup);
  const { result, message, figures } = outcome;
  const time = timeOf(outcome, known?.time, now).toISOString();
  const served = requested ?? known?.requested;
  const drill: LastDrill = {
    ...{ result, time, ...figures, message },
    ...(served === undefined ? {} : { requested: served }),
    ...(result === 'Unknown' ? { attempts: before + 1 } : {}),
  };
  return { drill, lastDrillTime: result === 'Unknown' ? lastDrillTime : time };
}

/** What a parent is told of the last drill of its runs, which may go before the next one. */
export function recordForParent(
  parent: DrillParent,
  drill: LastDrill,
  { run, heldMs }: { run: string; heldMs: number | undefined },
): WrittenRecord {
  const { requested } = recordOf(parent).drill ?? {};
  const told = Object.entries(drill).filter(([field]) => field !== 'requested');
  return {
    drill: { ...Object.fromEntries(told), backup: run, ...(requested === undefined ? {} : { requested }) },
    lastDrillTime: heldMs === undefined ? undefined : new Date(heldMs).toISOString(),
  };
}

/** A request for what can't be drilled is answered, once. */
export function recordOfRefusal(
  backup: EtcdBackup,
  { requested, message, now }: { requested: string; message: string; now: Date },
): WrittenRecord {
  const { drill, lastDrillTime } = recordOfBackup(backup);
  // What a parent's status tells is about its runs.
  const known: LastDrill =
    drill ?? (isRecurring(backup) ? {} : { result: 'Unknown', time: now.toISOString(), message });
  return { drill: { ...known, requested }, lastDrillTime };
}

/** The object as it is with that record. */
export function withRecord(parent: DrillParent, { drill, lastDrillTime }: WrittenRecord): DrillParent {
  const fields = { drill, ...(lastDrillTime === undefined ? {} : { lastDrillTime }) };
  if (parent.kind === 'EtcdBackupSchedule') {
    const { object } = parent;
    return { kind: parent.kind, object: { ...object, status: { ...object.status, ...fields } } };
  }
  const { object } = parent;
  const validationResult = { ...object.status?.validationResult, ...fields };
  return { kind: parent.kind, object: { ...object, status: { ...object.status, validationResult } } };
}

/** Writes it down if the object is still as it was read. Rejects as `writeStatus` does, and with `controlplane.drill`. */
export async function writeRecord(
  kube: KubeClient,
  parent: DrillParent,
  record: WrittenRecord,
  signal: AbortSignal,
): Promise<void> {
  const written = await writeTo(kube, parent, withRecord(parent, record), signal);
  if (recordOf(written).drill?.time === record.drill.time) return;
  // Or the same drill would be written down for ever.
  const { kind } = parent;
  throw new GuardianError('controlplane.drill', `the definition of ${kind}s has no field for drills`, {
    hint: 'It is of an older version: apply manifests/crds, or upgrade the chart with its definitions.',
  });
}

/** Never in the future, and never that of the drill before: names of Jobs follow from it. */
function timeOf({ endedAt }: DrillOutcome, before: string | undefined, now: Date): Date {
  if (endedAt === undefined || endedAt > now) return now;
  return before !== undefined && endedAt <= new Date(before) ? now : endedAt;
}

async function writeTo(
  kube: KubeClient,
  { kind, object }: DrillParent,
  { object: { status = {} } }: DrillParent,
  signal: AbortSignal,
): Promise<DrillParent> {
  const { namespace, name } = object.metadata;
  if (kind === 'EtcdBackup') {
    const reference = { resource: ETCD_BACKUP_RESOURCE, namespace, name };
    const written = writeStatus<EtcdBackupStatus, EtcdBackup>(kube, reference, object, status, { signal });
    return { kind, object: await written };
  }
  const reference = { resource: ETCD_BACKUP_SCHEDULE_RESOURCE, namespace, name };
  const written = writeStatus<EtcdBackupScheduleStatus, EtcdBackupSchedule>(
    ...([kube, reference, object, status, { signal }] as const),
  );
  return { kind, object: await written };
}
