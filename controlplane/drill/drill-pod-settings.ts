import { z } from 'zod';

const named = z.object({ name: z.string().min(1) });

/** What the chart says about the pods of drills, as JSON: where they run, and with what. */
export const drillPodSettings = z.object({
  /** Our own image. */
  image: z.string().min(1),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  imagePullSecrets: z.array(named).default([]),
  nodeSelector: z.record(z.string(), z.string()).default({}),
  tolerations: z.array(z.record(z.string(), z.json())).default([]),
  /** As a container has them. */
  resources: z.record(z.string(), z.json()).default({}),
  /** Of the node's disk, for the restored data; a Kubernetes quantity. Empty: as much as there is. */
  diskSize: z.string().default(''),
  /** A Secret of our namespace with `encryption.yaml`. Empty: none. */
  encryptionConfigSecret: z.string().default(''),
  /** A ConfigMap of our namespace with `queries.yaml`. Empty: none. */
  queriesConfigMap: z.string().default(''),
  /** More environment variables, as a container's `env` has them. */
  env: z.array(z.looseObject({ name: z.string().min(1) })).default([]),
});

export type DrillPodSettings = z.output<typeof drillPodSettings>;
