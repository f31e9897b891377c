import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { SCHEDULE_LABEL } from '../backup/backup-labels.ts';
import type { ScheduleSource } from './schedule-source.ts';

/** On a run: the slot that it is of. RFC 3339. */
export const SLOT_ANNOTATION = 'etcdguardian.io/scheduled-at';

/** The EtcdBackup of one slot, owned by its parent, asked for by whoever asked for that. */
export function runObject(source: ScheduleSource, name: string, slot: Date): EtcdBackup {
  const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
  const { namespace = '', name: parent, uid = '' } = source.metadata;
  return {
    ...{ apiVersion, kind },
    metadata: {
      ...{ name, namespace },
      labels: { ...source.template.labels, [SCHEDULE_LABEL]: parent },
      annotations: { ...source.template.annotations, [SLOT_ANNOTATION]: slot.toISOString() },
      ownerReferences: [
        { apiVersion: source.apiVersion, kind: source.kind, name: parent, uid, controller: true },
      ],
    },
    spec: source.runSpec,
  };
}

/** Whether `backup` is a run of this very parent, not of one that had its name before. */
export function isRunOf({ metadata }: Pick<EtcdBackup, 'metadata'>, uid: string | undefined): boolean {
  return metadata.ownerReferences?.some((owner) => owner.controller === true && owner.uid === uid) ?? false;
}

export function slotOf({ metadata }: Pick<EtcdBackup, 'metadata'>): Date | undefined {
  const slot = new Date(metadata.annotations?.[SLOT_ANNOTATION] ?? metadata.creationTimestamp ?? '');
  return Number.isNaN(slot.getTime()) ? undefined : slot;
}
