import type { Description } from '../../lib/agent-api/description.ts';
import type { ControlPlaneMetrics } from '../metrics.ts';

/** What agents told, as metrics; what they don't tell any more is taken out. */
export interface AgentMetrics {
  told(node: string, description: Description, clockSkewMs: number): void;
  silent(node: string): void;
  gone(node: string): void;
}

export function agentMetrics({
  etcdDbSize,
  etcdRevision,
  agentUp,
  agentClockSkewSeconds,
  certificateEnds,
}: Pick<
  ControlPlaneMetrics,
  'etcdDbSize' | 'etcdRevision' | 'agentUp' | 'agentClockSkewSeconds' | 'certificateEnds'
>): AgentMetrics {
  /** The endpoint that a node's figures were told under, since it may change. */
  const endpoints = new Map<string, string>();
  const removeEtcd = (node: string): void => {
    const endpoint = endpoints.get(node);
    if (endpoint === undefined) return;
    etcdDbSize.remove({ endpoint });
    etcdRevision.remove({ endpoint });
    endpoints.delete(node);
  };
  return {
    told(node, { etcd }, clockSkewMs) {
      agentUp.set({ node }, 1);
      agentClockSkewSeconds.set({ node }, clockSkewMs / 1000);
      const endpoint = etcd?.clientUrls.find((url) => !isLoopback(url)) ?? node;
      if (endpoint !== endpoints.get(node) || etcd === undefined) removeEtcd(node);
      if (etcd === undefined || etcd.unreachable !== undefined) return;
      endpoints.set(node, endpoint);
      etcdDbSize.set({ endpoint }, etcd.dbSize);
      etcdRevision.set({ endpoint }, Number(etcd.revision));
    },
    silent(node) {
      agentUp.set({ node }, 0);
      removeEtcd(node);
    },
    gone(node) {
      agentUp.remove({ node });
      agentClockSkewSeconds.remove({ node });
      certificateEnds.remove({ of: `agent/${node}` });
      removeEtcd(node);
    },
  };
}

/** Every node has it: it names none. */
function isLoopback(url: string): boolean {
  return /^[a-z]+:\/\/(127\.|localhost|\[::1\])/.test(url);
}
