// Written by `make generate` from manifests/crds. Don’t edit.

import type { ObjectMeta } from '../object-meta.ts';
import type { EtcdBackupScheduleSpec } from './etcd-backup-schedule-spec.ts';
import type { EtcdBackupScheduleStatus } from './etcd-backup-schedule-status.ts';

/** Backups of etcd by a schedule, with time zone, suspension, deadlines and forecasts. Each run is an EtcdBackup named after this schedule and the time. */
export interface EtcdBackupSchedule {
  readonly apiVersion: 'etcdguardian.io/v1alpha1';
  readonly kind: 'EtcdBackupSchedule';
  readonly metadata: ObjectMeta;
  readonly spec: EtcdBackupScheduleSpec;
  /** Absent until the control plane has seen it. */
  readonly status?: EtcdBackupScheduleStatus;
}

export const ETCD_BACKUP_SCHEDULE_RESOURCE = {
  group: 'etcdguardian.io',
  version: 'v1alpha1',
  apiVersion: 'etcdguardian.io/v1alpha1',
  kind: 'EtcdBackupSchedule',
  plural: 'etcdbackupschedules',
} as const;
