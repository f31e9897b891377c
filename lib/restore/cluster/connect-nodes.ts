import { type AgentClient, type AgentConnection, connectAgent } from '../../agent-api/agent-client.ts';
import type { Clock } from '../../clock.ts';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import type { NodeFacts } from './node-facts.ts';
import { agentParticipant, type Participant } from './participant.ts';

/** Where a node's agent answers. */
export interface NodePlace {
  readonly node: string;
  /** host:port. */
  readonly address: string;
  /** The node's clock minus ours. */
  readonly clockSkewMs: number;
}

export interface NodeCaller {
  /** Of a control plane, or a break-glass identity. */
  readonly credentials: AgentConnection['credentials'];
  readonly clock: Clock;
}

/** Connections of a restore's own, in the order of the places. */
export interface ConnectedNodes extends Disposable {
  readonly agents: readonly AgentClient[];
  readonly participants: readonly Participant[];
}

/** Connects with the first call to each. */
export function connectNodes(places: readonly NodePlace[], caller: NodeCaller): ConnectedNodes {
  const { clock } = caller;
  const agents = places.map(({ node, address }) => connectAgent({ node, address, ...caller }));
  return {
    agents,
    participants: agents.map((agent, at) => agentParticipant(agent, places[at]?.clockSkewMs ?? 0, clock)),
    [Symbol.dispose]() {
      for (const agent of agents) agent.close();
    },
  };
}

/** What the agents at these addresses tell now, for `planClusterRestore`. Whoever is away has a `problem`. */
export async function surveyNodes(
  places: readonly Omit<NodePlace, 'clockSkewMs'>[],
  caller: NodeCaller,
  signal: AbortSignal,
): Promise<readonly NodeFacts[]> {
  using nodes = connectNodes(
    places.map((place) => ({ ...place, clockSkewMs: 0 })),
    caller,
  );
  return await Promise.all(
    nodes.agents.map(async (agent): Promise<NodeFacts> => {
      const { node, address } = agent;
      const before = caller.clock().getTime();
      try {
        const description = await agent.describe({}, { signal });
        const after = caller.clock().getTime();
        const clockSkewMs = Math.round(description.timeMs - (before + after) / 2);
        return { node, address, clockSkewMs, description, problem: undefined };
      } catch (error) {
        signal.throwIfAborted();
        const problem =
          error instanceof GuardianError ? error : new GuardianError('agent.failed', reasonOf(error));
        return { node, address, clockSkewMs: 0, description: undefined, problem };
      }
    }),
  );
}

/** Whom a restore was planned for, by what any of its nodes tells: all of them must be asked before it is concluded. */
export function placesOf(
  members: readonly { readonly node: string; readonly agentAddress: string }[],
  known: readonly NodePlace[],
): readonly NodePlace[] {
  return members.map(
    ({ node, agentAddress: address }) =>
      known.find((place) => place.node === node) ?? { node, address, clockSkewMs: 0 },
  );
}
