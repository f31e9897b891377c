import { isIPv6 } from 'node:net';
import type { Pod } from '../core-resources.ts';

/** Where an agent's pod is. */
export interface AgentPod {
  readonly node: string;
  readonly podName: string;
  readonly podUid: string;
  readonly address: string;
}

/**
 * One pod for each node: while a DaemonSet is rolled out, the one that isn't being deleted, then the newest. Pods without
 * node or address aren't there yet.
 */
export function agentPods(pods: readonly Pod[], port: number): Map<string, AgentPod> {
  const usable = pods.flatMap((pod) => {
    const { nodeName } = pod.spec;
    const ip = pod.status?.podIP ?? pod.status?.hostIP;
    const isOver = pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';
    return nodeName === undefined || nodeName === '' || ip === undefined || ip === '' || isOver
      ? []
      : [{ pod, node: nodeName, address: `${isIPv6(ip) ? `[${ip}]` : ip}:${port}` }];
  });
  const inOrder = usable.toSorted(
    (a, b) =>
      Number(b.pod.metadata.deletionTimestamp !== undefined) -
        Number(a.pod.metadata.deletionTimestamp !== undefined) ||
      (a.pod.metadata.creationTimestamp ?? '').localeCompare(b.pod.metadata.creationTimestamp ?? ''),
  );
  return new Map(
    inOrder.map(({ pod, node, address }) => [
      node,
      { node, address, podName: pod.metadata.name, podUid: pod.metadata.uid ?? '' },
    ]),
  );
}
