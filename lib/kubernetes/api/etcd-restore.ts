// Written by `make generate` from manifests/crds. Don’t edit.

import type { ObjectMeta } from '../object-meta.ts';
import type { EtcdRestoreSpec } from './etcd-restore-spec.ts';
import type { EtcdRestoreStatus } from './etcd-restore-status.ts';

/** A restore of a cluster, or of some namespaces through the API server. It happens once and can't be changed; for another one create another EtcdRestore. */
export interface EtcdRestore {
  readonly apiVersion: 'etcdguardian.io/v1alpha1';
  readonly kind: 'EtcdRestore';
  readonly metadata: ObjectMeta;
  readonly spec: EtcdRestoreSpec;
  /** Absent until the control plane has seen it. */
  readonly status?: EtcdRestoreStatus;
}

export const ETCD_RESTORE_RESOURCE = {
  group: 'etcdguardian.io',
  version: 'v1alpha1',
  apiVersion: 'etcdguardian.io/v1alpha1',
  kind: 'EtcdRestore',
  plural: 'etcdrestores',
} as const;
