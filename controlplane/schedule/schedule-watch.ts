import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { type SharedWatch, sharedWatch } from '../shared-watch.ts';

export type ScheduleWatch = SharedWatch<EtcdBackupSchedule>;

export const scheduleWatch = sharedWatch<EtcdBackupSchedule>(
  ETCD_BACKUP_SCHEDULE_RESOURCE,
  'EtcdBackupSchedules',
);
