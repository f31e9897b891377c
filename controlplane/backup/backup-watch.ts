import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type SharedWatch, sharedWatch } from '../shared-watch.ts';

export type BackupWatch = SharedWatch<EtcdBackup>;

export const backupWatch = sharedWatch<EtcdBackup>(ETCD_BACKUP_RESOURCE, 'EtcdBackups');
