import type { AgentClient } from '../../lib/agent-api/agent-client.ts';
import type { Description } from '../../lib/agent-api/description.ts';
import { GuardianError } from '../../lib/guardian-error.ts';

/** Who holds a term for the control plane, as agents remember it. */
export const HOLDER_PREFIX = 'controlplane/';

/** What terms are for here: backups, captures and whatever else is no restore of the whole cluster. */
const OTHER_WORK = 'backups';
/** States of a restore after which nobody needs it any more; see agent.proto. */
const ENDED_RESTORES = ['Resumed', 'RolledBack', 'CleanedUp', 'Failed'];

/**
 * Takes the right to change something at an agent. `describe` tells who has it now: a person's restore that goes on there
 * is not taken over, as its coordinator may be at work while no API server runs: `controlplane.agent-held` (retryable).
 */
export async function takeTerm(
  agent: AgentClient,
  describe: () => Promise<Description>,
  podName: string,
  signal?: AbortSignal,
): Promise<bigint> {
  const { termHolder, restores } = await describe();
  const isForeign = termHolder !== '' && !termHolder.startsWith(HOLDER_PREFIX);
  const active = restores.find(({ state }) => !ENDED_RESTORES.includes(state));
  if (isForeign && active !== undefined) {
    throw new GuardianError(
      'controlplane.agent-held',
      `the agent of ${agent.node} works for ${termHolder}: restore ${active.operation} is ${active.state}`,
      { hint: 'Let that restore end, or end it with the command that began it.', retryable: true },
    );
  }
  const wish = { holder: `${HOLDER_PREFIX}${podName}`, operation: OTHER_WORK };
  const { term } = await agent.takeTerm(wish, { signal });
  return term;
}
