import type { AgentClient } from '../../lib/agent-api/agent-client.ts';
import type { Description } from '../../lib/agent-api/description.ts';
import type { Fence } from '../../lib/agent-api/request-parts.ts';
import type { GuardianError } from '../../lib/guardian-error.ts';

/** What is known of one agent's pod, and of what it told last. */
export interface KnownAgent {
  readonly node: string;
  readonly podName: string;
  readonly podUid: string;
  /** host:port of its gRPC API. */
  readonly address: string;
  /** What it told last; undefined when it never answered. */
  readonly description: Description | undefined;
  /** When that was. */
  readonly describedAt: Date | undefined;
  /** Why it didn't answer when it was last asked; undefined when it did, or wasn't asked yet. */
  readonly problem: GuardianError | undefined;
  /** Its clock minus ours; undefined when it never answered. */
  readonly clockSkewMs: number | undefined;
}

/** Which agent is wanted. */
export interface AgentWish {
  /** Only a member of this etcd cluster. */
  readonly etcdClusterId?: bigint | undefined;
  /** Only a member of the cluster that has one of these client URLs. */
  readonly endpoints?: readonly string[] | undefined;
  /** Not these nodes, e.g. those that failed before, unless there is no other. */
  readonly avoid?: readonly string[] | undefined;
}

export interface AgentChoice {
  readonly agent: KnownAgent & { readonly description: Description };
  /** For people: why this one, e.g. `a follower, as new as the others`. */
  readonly reason: string;
}

/** The agents of this cluster: where they are, what they told, and the right to change something there. */
export interface AgentDirectory {
  /** All that have a pod, by node; nobody is asked. */
  list(): readonly KnownAgent[];
  /** Asks all whose last answer is older, at the same time, and resolves to what `list` says then. */
  survey(maxAgeMs: number, signal?: AbortSignal): Promise<readonly KnownAgent[]>;
  /**
   * Asks one now. Rejects with `controlplane.no-agent` where the node has none, and as `AgentClient` does.
   */
  describe(node: string, signal?: AbortSignal): Promise<Description>;
  /**
   * Asks around, and chooses the agent to back up by: its member answers, has no alarm, is no learner; a follower before
   * the leader, then the one that applied most. Rejects with `controlplane.no-agent`, which names each one's reason.
   */
  choose(wish: AgentWish, signal?: AbortSignal): Promise<AgentChoice>;
  /** For calls that change nothing. Throws `controlplane.no-agent`. */
  client(node: string): AgentClient;
  /**
   * Calls with the term that this leader holds at the agent, which is taken first where it must. `call` rejected with
   * `agent.stale-term`: leadership is checked against the Lease, a new term taken, and `call` called once more. Rejects
   * with `kubernetes.not-leader` when this replica leads no more, `controlplane.agent-held` while a person's restore
   * holds the agent, `controlplane.no-agent`, and as `call` does.
   */
  withTerm<T>(
    node: string,
    operation: string,
    call: (agent: AgentClient, fence: Fence) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  /** Calls `listener` with a node when its agent came, went, or told something new. What comes back ends it. */
  onChange(listener: (node: string) => void): () => void;
}
