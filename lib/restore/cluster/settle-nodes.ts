import type { AgentClient } from '../../agent-api/agent-client.ts';
import type { RestoreState } from '../../agent-api/restore-messages.ts';
import { hasCode } from '../../guardian-error.ts';
import type { Settlement } from './decide-alone.ts';

export interface PersonsSettlement extends Settlement {
  readonly operation: string;
  /** Who decided, for the journals. */
  readonly by: string;
}

/** What came of it at one node. */
export type NodeSettled =
  | { readonly node: string; readonly state: RestoreState; readonly error?: undefined }
  | { readonly node: string; readonly state?: undefined; readonly error: unknown };

/** The first round makes all give up, the next ones see that all have. */
const ROUNDS = 3;

/**
 * Lets a person settle a restore whose other nodes don't come back: takes the term of each node that is there, then tells
 * each the decision, which it checks against its peers. `agents` are those of the restore's members but for the nodes that
 * are not waited for; what is left over settles itself by them. Rejects only with the signal's reason.
 */
export async function settleNodes(
  { operation, commit, withoutNodes, by }: PersonsSettlement,
  agents: readonly AgentClient[],
  signal: AbortSignal,
): Promise<readonly NodeSettled[]> {
  const holder = `settle/${by}`;
  // All of them before the first decision, so that no coordinator goes on meanwhile.
  const terms = await Promise.allSettled(agents.map((agent) => agent.takeTerm({ holder }, { signal })));
  const asked = async (agent: AgentClient, at: number): Promise<NodeSettled> => {
    const { node } = agent;
    try {
      const taken = terms[at];
      if (taken?.status !== 'fulfilled') throw taken?.reason ?? new Error('no term');
      const fence = { operation, term: taken.value.term };
      const request = { fence, commit, withoutNodes: [...withoutNodes], by };
      return { node, state: await agent.settle(request, { signal, timeoutMs: SETTLE_MS }) };
    } catch (error) {
      signal.throwIfAborted();
      return { node, error };
    }
  };
  let settled = await Promise.all(agents.map(asked));
  for (let round = 1; round < ROUNDS; round++) {
    if (!settled.some(({ error }) => hasCode(error, 'restore.peers-away'))) break;
    settled = await Promise.all(
      settled.map(async (before, at) => {
        const agent = agents[at];
        return before.error === undefined || agent === undefined ? before : await asked(agent, at);
      }),
    );
  }
  return settled;
}

/** The way back waits for an etcd that serves. */
const SETTLE_MS = 240_000;
