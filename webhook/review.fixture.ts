import { type Admission, parseReview } from './admission-review.ts';
import { tenantEndpoints } from '../lib/kubernetes/rights/tenant-endpoints.ts';
import type { PolicySettings } from './policy.ts';

export const CONTROL_PLANE = 'system:serviceaccount:etcd-guardian-system:etcdguardian-controlplane';
export const SETTINGS: PolicySettings = {
  ...{ controlPlane: CONTROL_PLANE, veleroNamespace: 'velero' },
  tenantEndpoints: tenantEndpoints([]),
};
const S3 = { provider: 'S3', bucket: 'backups', region: 'r', credentialsSecret: 'keys' };

/** As an API server fills them. */
export const BACKUP = {
  ...{ backupMode: 'Full', storageLocation: S3, encryption: { enabled: false } },
  ...{ validation: { enabled: true, consistencyCheck: false }, veleroIntegration: { enabled: false } },
  deletionPolicy: 'Retain',
};
export const SCHEDULE = {
  ...{ schedule: '@daily', suspend: false, concurrencyPolicy: 'Forbid', aiOptimization: { enabled: false } },
  backupTemplate: { spec: BACKUP },
};
export const RESTORE = {
  ...{
    backupName: 'daily',
    restoreMode: 'Full',
    quiesceCluster: true,
    conflictPolicy: 'Fail',
    dryRun: false,
  },
  versionCompatibility: { check: true, allowMismatch: false },
};

interface Request {
  readonly kind?: string;
  readonly operation?: string;
  readonly user?: object;
  readonly spec?: object;
  readonly metadata?: object;
  readonly oldSpec?: object;
  readonly oldMetadata?: object;
  readonly subresource?: string;
}

/** As an API server sends it; alice creates a backup unless told otherwise. */
export function review(request: Request = {}): object {
  const {
    kind = 'EtcdBackup',
    user = { username: 'alice', groups: ['a'] },
    spec = BACKUP,
    oldSpec,
    subresource,
  } = request;
  const {
    operation = oldSpec === undefined ? 'CREATE' : 'UPDATE',
    metadata = {},
    oldMetadata = metadata,
  } = request;
  const object = (fields: object, meta: object): object => ({
    apiVersion: 'etcdguardian.io/v1alpha1',
    kind,
    metadata: { name: 'x', namespace: 'team-a', uid: 'u', ...meta },
    spec: fields,
  });
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'review-1',
      kind: { group: 'etcdguardian.io', version: 'v1alpha1', kind },
      ...{ operation, namespace: 'team-a', name: 'x', userInfo: user },
      ...(subresource === undefined ? {} : { subResource: subresource }),
      object: operation === 'DELETE' ? null : object(spec, metadata),
      oldObject: oldSpec === undefined ? null : object(oldSpec, oldMetadata),
    },
  };
}

export function admission(request: Request = {}): Admission {
  return parseReview(review(request));
}
