import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { EtcdBackupSchedule } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { ObjectMeta } from '../../lib/kubernetes/object-meta.ts';

interface BackupOptions {
  readonly schedule?: string;
  /** Hours of the day of `at`. */
  readonly completed?: number;
  readonly phase?: 'Running' | 'Completed' | 'Failed';
  readonly consistencyCheck?: boolean;
  readonly annotation?: string;
  readonly drill?: LastDrill;
  readonly held?: number;
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: Partial<EtcdBackup['spec']>;
}

/** Hours on a day, and behind it. */
export function at(hours: number): Date {
  return new Date(Date.UTC(2026, 10, 1) + hours * 3_600_000);
}

/** A completed backup of the whole cluster in namespace `prod`; with `schedule` a run of it. */
export function backupNamed(name: string, options: BackupOptions = {}): EtcdBackup {
  const {
    schedule,
    completed = 0,
    phase = 'Completed',
    consistencyCheck = true,
    annotation,
    drill,
    held,
  } = options;
  const owner = {
    apiVersion: 'etcdguardian.io/v1alpha1',
    kind: 'EtcdBackupSchedule',
    name: schedule ?? '',
    uid: 's',
  };
  const last = held === undefined ? {} : { lastDrillTime: at(held).toISOString() };
  return {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackup' },
    metadata: {
      ...{ name, namespace: 'prod', uid: `uid-${name}` },
      ...(schedule === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
      ...(annotation === undefined ? {} : { annotations: { 'etcdguardian.io/drill': annotation } }),
      ...options.metadata,
    },
    spec: {
      ...{ backupMode: 'Full', deletionPolicy: 'Retain', encryption: { enabled: false } },
      ...{ storageLocation: { provider: 'S3', bucket: 'b' }, veleroIntegration: { enabled: false } },
      validation: { enabled: true, consistencyCheck },
      ...options.spec,
    },
    status: {
      phase,
      ...(phase === 'Completed'
        ? {
            completionTime: at(completed).toISOString(),
            snapshotLocation: 's3://b/clusters/c/timelines/000001/chains/x',
          }
        : {}),
      ...(drill === undefined && held === undefined
        ? {}
        : { validationResult: { ...(drill === undefined ? {} : { drill }), ...last } }),
    },
  };
}

export function scheduleNamed(name: string, status: EtcdBackupSchedule['status'] = {}): EtcdBackupSchedule {
  const { spec } = backupNamed('template');
  return {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdBackupSchedule' },
    metadata: { name, namespace: 'prod', uid: `uid-${name}` },
    spec: {
      ...{ schedule: '@hourly', suspend: false, concurrencyPolicy: 'Forbid' },
      ...{ aiOptimization: { enabled: false }, backupTemplate: { spec } },
    },
    status,
  };
}

/** A drill that was recorded at that hour. */
export function drilled(
  hours: number,
  result: 'Passed' | 'Failed' | 'Unknown' = 'Passed',
  attempts?: number,
): LastDrill {
  return { result, time: at(hours).toISOString(), ...(attempts === undefined ? {} : { attempts }) };
}
