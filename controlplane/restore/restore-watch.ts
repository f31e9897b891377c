import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { type SharedWatch, sharedWatch } from '../shared-watch.ts';

export type RestoreWatch = SharedWatch<EtcdRestore>;

export const restoreWatch = sharedWatch<EtcdRestore>(ETCD_RESTORE_RESOURCE, 'EtcdRestores');
