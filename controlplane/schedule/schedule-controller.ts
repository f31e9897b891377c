import { hasCode } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { splitKey } from '../../lib/kubernetes/object-key.ts';
import { writeStatus } from '../../lib/kubernetes/write-status.ts';
import { type BackupWatch, backupWatch } from '../backup/backup-watch.ts';
import type { Again, Controller } from '../controller.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { type ScheduleWatch, scheduleWatch } from './schedule-watch.ts';
import { ScheduleReconciler } from './schedule-reconciler.ts';
import { type ScheduleSource, sourceOfBackup, sourceOfSchedule } from './schedule-source.ts';

const CONFLICT_MS = 200;

/** EtcdBackupSchedules: begins their runs. */
export function schedules(tools: ControlPlaneTools): Controller {
  let watch: ScheduleWatch | undefined;
  return scheduling<EtcdBackupSchedule>(tools, {
    ...{ name: 'schedule', kind: 'EtcdBackupSchedule', resource: ETCD_BACKUP_SCHEDULE_RESOURCE },
    async watch(signal, onChange) {
      watch = scheduleWatch(tools, signal);
      watch.listen(onChange);
      await watch.synced;
    },
    object: (key) => watch?.get(key),
    source: (object) => sourceOfSchedule(object),
  });
}

/** EtcdBackups with a schedule of their own: begins their runs. */
export function recurringBackups(tools: ControlPlaneTools): Controller {
  let watch: BackupWatch | undefined;
  return scheduling<EtcdBackup>(tools, {
    ...{ name: 'recurring-backup', kind: 'EtcdBackup', resource: ETCD_BACKUP_RESOURCE },
    async watch(signal, onChange) {
      watch = backupWatch(tools, signal);
      watch.listen(onChange);
      await watch.synced;
    },
    object: (key) => watch?.get(key),
    source: (object) => sourceOfBackup(object),
  });
}

interface ScheduleKind<T> {
  readonly name: string;
  readonly kind: ScheduleSource['kind'];
  readonly resource: typeof ETCD_BACKUP_RESOURCE | typeof ETCD_BACKUP_SCHEDULE_RESOURCE;
  watch(signal: AbortSignal, onChange: (key: string) => void): Promise<void>;
  object(key: string): T | undefined;
  source(object: T): ScheduleSource | undefined;
}

function scheduling<T extends EtcdBackup | EtcdBackupSchedule>(
  tools: ControlPlaneTools,
  kind: ScheduleKind<T>,
): Controller {
  let reconciler: ScheduleReconciler | undefined;
  let runs: BackupWatch | undefined;

  const step = async (key: string, signal: AbortSignal): Promise<Again | undefined> => {
    const object = kind.object(key);
    const source = object && kind.source(object);
    if (object === undefined || source === undefined || runs === undefined) {
      reconciler?.forget(key);
      return undefined;
    }
    if (object.metadata.deletionTimestamp !== undefined) return undefined;
    const done = await reconciler?.reconcile(key, source, runs.list(), signal);
    if (done === undefined) return undefined;
    const { namespace, name } = splitKey(key);
    const reference = { resource: kind.resource, namespace, name };
    await writeStatus(tools.kube, reference, object, done.status, { signal });
    return done.again;
  };
  return {
    name: kind.name,
    workers: 4,
    async start(queue, signal) {
      reconciler = new ScheduleReconciler(tools);
      const all = (runs = backupWatch(tools, signal));
      const known = new Map<string, string>();
      await kind.watch(signal, (key) => {
        queue.add(key);
      });
      all.listen((key) => {
        const parent = parentKey(all.get(key), kind.kind) ?? known.get(key);
        if (parent === undefined) return;
        if (all.get(key) === undefined) known.delete(key);
        else known.set(key, parent);
        queue.add(parent);
      });
      await all.synced;
    },
    async reconcile(key, signal) {
      try {
        return await step(key, signal);
      } catch (error) {
        if (hasCode(error, 'kubernetes.conflict')) return { afterMs: CONFLICT_MS };
        if (hasCode(error, 'kubernetes.not-found')) return undefined;
        throw error;
      }
    },
  };
}

function parentKey(run: EtcdBackup | undefined, kind: string): string | undefined {
  const owner = run?.metadata.ownerReferences?.find(
    (one) => one.controller === true && one.kind === kind && one.apiVersion.startsWith('etcdguardian.io/'),
  );
  return owner && `${run?.metadata.namespace ?? ''}/${owner.name}`;
}
