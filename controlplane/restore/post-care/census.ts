import type { KubeClient, KubeObject, KubeResource } from '../../../lib/kubernetes/kube-client.ts';
import { type Pod, PODS } from '../../core-resources.ts';

/** Who is there, as the API has it. */
export interface Census {
  /** By uid: those that a kubelet runs, or is to run, because of the API. */
  readonly pods: ReadonlyMap<string, CountedPod>;
  readonly nodes: ReadonlySet<string>;
}

export interface CountedPod {
  /** `namespace/name`. */
  readonly name: string;
  readonly node: string;
  readonly created: Date;
}

/** A CronJob, as far as missed runs go. */
export interface CronJob extends KubeObject {
  readonly spec: {
    readonly schedule: string;
    readonly timeZone?: string | null;
    readonly suspend?: boolean | null;
  };
}

const NODES: KubeResource = { group: '', version: 'v1', plural: 'nodes' };
const CRON_JOBS: KubeResource = { group: 'batch', version: 'v1', plural: 'cronjobs' };
/** Pods are large, and this process is small. */
const PAGE = 250;

/** Counts pods and nodes. Rejects with the client's errors. */
export async function takeCensus(kube: KubeClient, signal: AbortSignal): Promise<Census> {
  const pods = new Map<string, CountedPod>();
  const nodes = new Set<string>();
  for await (const { metadata } of all(kube, NODES, signal)) nodes.add(metadata.name);
  for await (const pod of all<Pod>(kube, PODS, signal)) {
    const { uid = '', namespace = '', name, creationTimestamp, annotations } = pod.metadata;
    const node = pod.spec.nodeName ?? '';
    // Of static pods the API has pictures only; what has ended is run by nobody.
    const isPicture = annotations?.['kubernetes.io/config.mirror'] !== undefined;
    if (node === '' || isPicture || ['Succeeded', 'Failed'].includes(pod.status?.phase ?? '')) continue;
    pods.set(uid, { name: `${namespace}/${name}`, node, created: new Date(creationTimestamp ?? 0) });
  }
  return { pods, nodes };
}

export async function listCronJobs(kube: KubeClient, signal: AbortSignal): Promise<CronJob[]> {
  const found: CronJob[] = [];
  for await (const one of all<CronJob>(kube, CRON_JOBS, signal)) found.push(one);
  return found;
}

async function* all<T extends KubeObject>(
  kube: KubeClient,
  resource: KubeResource,
  signal: AbortSignal,
): AsyncGenerator<T, void> {
  let next: string | undefined;
  do {
    const page = await kube.list<T>(resource, { limit: PAGE, continue: next, signal });
    yield* page.items;
    next = page.metadata.continue === '' ? undefined : page.metadata.continue;
  } while (next !== undefined);
}
