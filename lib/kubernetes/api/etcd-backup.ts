// Written by `make generate` from manifests/crds. Don’t edit.

import type { ObjectMeta } from '../object-meta.ts';
import type { EtcdBackupSpec } from './etcd-backup-spec.ts';
import type { EtcdBackupStatus } from './etcd-backup-status.ts';

/** A backup of etcd into an object store: once, or by a schedule of its own. A backup without a schedule can't be changed after its creation; make another one. Each run of a schedule is an EtcdBackup of its own, named after this one and the time. */
export interface EtcdBackup {
  readonly apiVersion: 'etcdguardian.io/v1alpha1';
  readonly kind: 'EtcdBackup';
  readonly metadata: ObjectMeta;
  readonly spec: EtcdBackupSpec;
  /** Absent until the control plane has seen it. */
  readonly status?: EtcdBackupStatus;
}

export const ETCD_BACKUP_RESOURCE = {
  group: 'etcdguardian.io',
  version: 'v1alpha1',
  apiVersion: 'etcdguardian.io/v1alpha1',
  kind: 'EtcdBackup',
  plural: 'etcdbackups',
} as const;
