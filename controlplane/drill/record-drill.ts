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
import { type DrillParent, isRecurring, recordOf, recordOfBackup } from './drill-series.ts';

/**
 * Writes down how a drill of this backup went, if the backup is still as it was read. `before`: how many drills of its
 * series in a row could not be held. Resolves to what was written.
 */
export async function recordDrill(
  kube: KubeClient,
  backup: EtcdBackup,
  outcome: DrillOutcome,
  { requested, before, now }: { requested: string | undefined; before: number; now: Date },
  signal: AbortSignal,
): Promise<LastDrill> {
  const { drill: known, lastDrillTime } = recordOfBackup(backup);
  const { result, message, figures } = outcome;
  const time = timeOf(outcome, known?.time, now).toISOString();
  const served = requested ?? known?.requested;
  const drill: LastDrill = {
    ...{ result, time, ...figures, message },
    ...(served === undefined ? {} : { requested: served }),
    ...(result === 'Unknown' ? { attempts: before + 1 } : {}),
  };
  const held = result === 'Unknown' ? lastDrillTime : time;
  await write(kube, { kind: 'EtcdBackup', object: backup }, drill, held, signal);
  return drill;
}

/** Tells a parent of the last drill of its runs, which may go before the next one. */
export async function rememberDrill(
  kube: KubeClient,
  parent: DrillParent,
  drill: LastDrill,
  { run, heldMs }: { run: string; heldMs: number | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { requested } = recordOf(parent).drill ?? {};
  const told = Object.entries(drill).filter(([field]) => field !== 'requested');
  const own = { ...Object.fromEntries(told), backup: run, ...(requested === undefined ? {} : { requested }) };
  const held = heldMs === undefined ? undefined : new Date(heldMs).toISOString();
  await write(kube, parent, own, held, signal);
}

/** A request for what can't be drilled is answered, once. Resolves to what was written. */
export async function recordRefusal(
  kube: KubeClient,
  backup: EtcdBackup,
  { requested, message, now }: { requested: string; message: string; now: Date },
  signal: AbortSignal,
): Promise<LastDrill> {
  const { drill, lastDrillTime } = recordOfBackup(backup);
  // What a parent's status tells is about its runs.
  const known: LastDrill =
    drill ?? (isRecurring(backup) ? {} : { result: 'Unknown', time: now.toISOString(), message });
  const answer: LastDrill = { ...known, requested };
  await write(kube, { kind: 'EtcdBackup', object: backup }, answer, lastDrillTime, signal);
  return answer;
}

/** Never in the future, and never that of the drill before: names of Jobs follow from it. */
function timeOf({ endedAt }: DrillOutcome, before: string | undefined, now: Date): Date {
  if (endedAt === undefined || endedAt > now) return now;
  return before !== undefined && endedAt <= new Date(before) ? now : endedAt;
}

async function write(
  kube: KubeClient,
  parent: DrillParent,
  drill: LastDrill,
  lastDrillTime: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const written = await writeRecord(kube, parent, drill, lastDrillTime, signal);
  if (recordOf(written).drill?.time === drill.time) return;
  // Or the same drill would be written down for ever.
  const { kind } = parent;
  throw new GuardianError('controlplane.drill', `the definition of ${kind}s has no field for drills`, {
    hint: 'It is of an older version: apply manifests/crds, or upgrade the chart with its definitions.',
  });
}

async function writeRecord(
  kube: KubeClient,
  { kind, object }: DrillParent,
  drill: LastDrill,
  lastDrillTime: string | undefined,
  signal: AbortSignal,
): Promise<DrillParent> {
  const { namespace, name } = object.metadata;
  const fields = { drill, ...(lastDrillTime === undefined ? {} : { lastDrillTime }) };
  if (kind === 'EtcdBackup') {
    const validationResult = { ...object.status?.validationResult, ...fields };
    const status: EtcdBackupStatus = { ...object.status, validationResult };
    const reference = { resource: ETCD_BACKUP_RESOURCE, namespace, name };
    return {
      kind,
      object: await writeStatus<EtcdBackupStatus, EtcdBackup>(kube, reference, object, status, { signal }),
    };
  }
  const status: EtcdBackupScheduleStatus = { ...object.status, ...fields };
  const reference = { resource: ETCD_BACKUP_SCHEDULE_RESOURCE, namespace, name };
  return {
    kind,
    object: await writeStatus<EtcdBackupScheduleStatus, EtcdBackupSchedule>(
      ...([kube, reference, object, status, { signal }] as const),
    ),
  };
}
