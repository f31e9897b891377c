/** A step into a message: its name in JSON and its number in Kubernetes' generated.proto. */
export type FieldStep = readonly [name: string, number: number];

/** What of an object belongs to the cluster that it was in. */
export interface ClearedField {
  readonly path: readonly FieldStep[];
  /** Stays where its text is this. */
  readonly unless?: string;
  /** Only these keys of a map go. */
  readonly keys?: readonly string[];
}

export interface ClearedParts {
  readonly fields: readonly ClearedField[];
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
}

/**
 * What is cleared before an object of this directory is created anew: allocated by the API server, set by a controller
 * or the scheduler, or bound to an object's uid. Numbers are those of k8s.io/api, which never change.
 */
export function clearedParts(directory: string): ClearedParts {
  return CLEARED[directory] ?? NOTHING;
}

const NOTHING: ClearedParts = { fields: [], labels: [], annotations: [] };
const SPEC: FieldStep = ['spec', 2];
const JOB_LABELS = [
  'controller-uid',
  'job-name',
  'batch.kubernetes.io/controller-uid',
  'batch.kubernetes.io/job-name',
];

const CLEARED: Readonly<Record<string, ClearedParts>> = {
  // Headless services say None, which is meant.
  'services/specs': {
    ...NOTHING,
    fields: [
      { path: [SPEC, ['clusterIP', 3]], unless: 'None' },
      { path: [SPEC, ['clusterIPs', 18]], unless: 'None' },
      { path: [SPEC, ['ports', 1], ['nodePort', 5]] },
      { path: [SPEC, ['healthCheckNodePort', 12]] },
    ],
  },
  jobs: {
    fields: [
      { path: [SPEC, ['selector', 4]] },
      { path: [SPEC, ['template', 6], ['metadata', 1], ['labels', 11]], keys: JOB_LABELS },
    ],
    labels: JOB_LABELS,
    annotations: [],
  },
  persistentvolumeclaims: {
    fields: [{ path: [SPEC, ['volumeName', 3]] }],
    labels: [],
    annotations: [
      'pv.kubernetes.io/bind-completed',
      'pv.kubernetes.io/bound-by-controller',
      'volume.kubernetes.io/selected-node',
      'volume.kubernetes.io/storage-provisioner',
      'volume.beta.kubernetes.io/storage-provisioner',
    ],
  },
  pods: {
    ...NOTHING,
    fields: [{ path: [SPEC, ['nodeName', 10]] }, { path: [SPEC, ['ephemeralContainers', 34]] }],
  },
  // Names of token Secrets, which are not backed up.
  serviceaccounts: { ...NOTHING, fields: [{ path: [['secrets', 2]] }] },
  deployments: { ...NOTHING, annotations: ['deployment.kubernetes.io/revision'] },
};
