import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { TemplateMetadata } from '../../lib/kubernetes/api/etcd-backup-schedule-spec.ts';
import type { EtcdBackupScheduleStatus } from '../../lib/kubernetes/api/etcd-backup-schedule-status.ts';
import type { EtcdBackupSpec } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { ObjectMeta } from '../../lib/kubernetes/object-meta.ts';

/** Whatever makes backups by a clock: an EtcdBackupSchedule, or an EtcdBackup with a schedule. */
export interface ScheduleSource {
  readonly kind: 'EtcdBackup' | 'EtcdBackupSchedule';
  readonly apiVersion: string;
  readonly metadata: ObjectMeta;
  readonly schedule: string;
  readonly timeZone: string;
  readonly suspend: boolean;
  readonly deadlineMs: number | undefined;
  readonly concurrency: 'Allow' | 'Forbid' | 'Replace';
  readonly forecastWanted: boolean;
  readonly template: TemplateMetadata;
  /** Of each run, the stamp of the schedule with it. */
  readonly runSpec: EtcdBackupSpec;
  /** Fields that both kinds have in common. */
  readonly status: EtcdBackupStatus & EtcdBackupScheduleStatus;
}

export function sourceOfSchedule({ metadata, spec, status = {} }: EtcdBackupSchedule): ScheduleSource {
  const { kind, apiVersion } = ETCD_BACKUP_SCHEDULE_RESOURCE;
  const { backupTemplate, requestedBy, startingDeadlineSeconds } = spec;
  return {
    ...{ kind, apiVersion, metadata, status },
    schedule: spec.schedule,
    timeZone: spec.timeZone ?? 'UTC',
    suspend: spec.suspend,
    deadlineMs: startingDeadlineSeconds === undefined ? undefined : startingDeadlineSeconds * 1_000,
    concurrency: spec.concurrencyPolicy,
    forecastWanted: spec.aiOptimization.enabled,
    template: backupTemplate.metadata ?? {},
    runSpec: { ...backupTemplate.spec, ...(requestedBy === undefined ? {} : { requestedBy }) },
  };
}

/** Undefined for a backup that is made once. */
export function sourceOfBackup({ metadata, spec, status = {} }: EtcdBackup): ScheduleSource | undefined {
  const { kind, apiVersion } = ETCD_BACKUP_RESOURCE;
  const { schedule = '', ...runSpec } = spec;
  if (schedule === '') return undefined;
  return {
    ...{ kind, apiVersion, metadata, status, schedule, runSpec },
    ...{ timeZone: 'UTC', suspend: false, deadlineMs: undefined, concurrency: 'Forbid' },
    ...{ forecastWanted: false, template: {} },
  };
}
