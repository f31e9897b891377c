import { DAEMON_SETS, PODS } from '../../controlplane/core-resources.ts';
import type { KubeClient, KubeObject } from '../../lib/kubernetes/kube-client.ts';

/** A pod that a test's agent stands for. */
export interface AgentPod {
  readonly name: string;
  readonly nodeName: string;
  readonly address: string;
}

const LABELS = { 'app.kubernetes.io/name': 'etcdguardian', 'app.kubernetes.io/component': 'agent' };

/** The DaemonSet of agents and its pods, where no kubelet and no controller makes them. */
export async function addAgentPods(
  kube: KubeClient,
  namespace: string,
  pods: readonly AgentPod[],
): Promise<void> {
  const containers = [{ name: 'agent', image: 'etcdguardian' }];
  const daemonSet = await kube.create<KubeObject>(DAEMON_SETS, namespace, {
    metadata: { name: 'etcdguardian-agent' },
    spec: {
      selector: { matchLabels: LABELS },
      template: { metadata: { labels: LABELS }, spec: { containers } },
    },
  });
  const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'etcdguardian-agent', controller: true };
  const ownerReferences = [{ ...owner, uid: daemonSet.metadata.uid ?? '' }];
  for (const { name, nodeName, address: ip } of pods) {
    await kube.create(PODS, namespace, {
      metadata: { name, labels: LABELS, ownerReferences },
      spec: { nodeName, containers },
    });
    await kube.mergePatch(
      { resource: PODS, namespace, name, subresource: 'status' },
      { status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] } },
    );
  }
}
