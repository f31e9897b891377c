import type { Description, EtcdFound } from '../../lib/agent-api/description.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { AgentChoice, AgentWish, KnownAgent } from './agent-directory.ts';

/**
 * The agent to back up by: its member answers, is not known to be corrupt, is no learner; a follower before the leader,
 * then the one at the highest revision. An etcd that is full (NOSPACE) is read like any other. Throws
 * `controlplane.no-agent`, which names each agent's reason, and `controlplane.several-clusters`.
 */
export function chooseAgent(agents: readonly KnownAgent[], wish: AgentWish = {}): AgentChoice {
  const judged = agents.map((agent) => ({ agent, verdict: judge(agent, wish) }));
  const sound = judged.flatMap(({ agent, verdict }) =>
    typeof verdict === 'string' ? [] : [{ agent: { ...agent, ...verdict }, etcd: verdict.etcd }],
  );
  const clusters = new Set(sound.map(({ etcd }) => etcd.clusterId));
  if (clusters.size > 1) {
    const which = sound.map(({ agent, etcd }) => `${agent.node} to ${etcd.clusterId.toString(16)}`);
    throw new GuardianError(
      'controlplane.several-clusters',
      `agents belong to ${clusters.size} etcd clusters: ${which.join(', ')}`,
      { hint: 'Name the one that is meant by etcdEndpoints.' },
    );
  }
  const avoided = (node: string): number => Number(wish.avoid?.includes(node) === true);
  const [best] = sound.toSorted(
    (a, b) =>
      avoided(a.agent.node) - avoided(b.agent.node) ||
      Number(a.etcd.isLeader) - Number(b.etcd.isLeader) ||
      Number(b.etcd.revision - a.etcd.revision) ||
      a.agent.node.localeCompare(b.agent.node),
  );
  if (best === undefined) throw noAgent(judged);
  const { etcd, ...agent } = best.agent;
  const role = etcd.isLeader ? 'the leader; no follower can be read' : 'a follower';
  const reason = sound.length === 1 && etcd.isLeader ? 'the only member that can be read' : role;
  return { agent, reason };
}

interface Sound {
  readonly description: Description;
  readonly etcd: EtcdFound;
}

/** What is known of a member that can be read; else why it can't. */
function judge({ description, problem }: KnownAgent, wish: AgentWish): Sound | string {
  if (problem !== undefined) return problem.message;
  if (description === undefined) return 'its agent was not asked yet';
  const { etcd, problems } = description;
  if (etcd === undefined) return problems[0]?.message ?? 'no etcd was found there';
  if (etcd.unreachable !== undefined) return etcd.unreachable.message;
  if (wish.etcdClusterId !== undefined && etcd.clusterId !== wish.etcdClusterId)
    return `its etcd is of cluster ${etcd.clusterId.toString(16)}`;
  if (wish.endpoints !== undefined && !hasEndpoint(etcd, wish.endpoints))
    return 'its etcd has none of the endpoints that are asked for';
  if (etcd.alarms.some((alarm) => alarm.includes('CORRUPT'))) return 'its etcd has a CORRUPT alarm';
  if (etcd.isLearner) return 'its etcd is a learner';
  return { description, etcd };
}

/** Of the member itself, or of another of its cluster. */
function hasEndpoint({ clientUrls, members }: EtcdFound, endpoints: readonly string[]): boolean {
  const known = new Set([...clientUrls, ...members.flatMap((member) => member.clientUrls)].map(hostPort));
  return endpoints.some((endpoint) => known.has(hostPort(endpoint)));
}

function hostPort(endpoint: string): string {
  return endpoint.replace(/^[a-z]+:\/\//, '').replace(/\/+$/, '');
}

function noAgent(judged: readonly { agent: KnownAgent; verdict: unknown }[]): GuardianError {
  const reasons = judged.map(({ agent, verdict }) => `${agent.node}: ${String(verdict)}`);
  const retryable = judged.some(({ agent }) => agent.problem?.retryable !== false);
  return new GuardianError(
    'controlplane.no-agent',
    reasons.length === 0 ? 'there is no agent' : `no agent can read etcd (${reasons.join('; ')})`,
    {
      retryable: reasons.length === 0 || retryable,
      hint: 'Look at the pods of the agents (kubectl get pods -l app.kubernetes.io/component=agent -o wide) and their logs; they must run on the nodes that run etcd.',
    },
  );
}
