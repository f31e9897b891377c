import { setTimeout as delay } from 'node:timers/promises';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { BackUpNamespacesRequest, TaskUpdate } from '../../lib/agent-api/task-messages.ts';
import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { BackupPlace } from '../../lib/repository/backup-entry.ts';
import type { NamespacePart } from '../../lib/repository/namespace-manifest.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import type { ControlPlaneTools } from '../tools.ts';

/** What an agent has read into a part. */
export interface AgentReading {
  readonly revision: bigint;
  readonly readAt: Date;
  readonly part: NamespacePart;
  /** Directories with values that can't be read. */
  readonly unreadable: ReadonlySet<string>;
}

export interface AskedAgent {
  readonly node: string;
  readonly operation: string;
  readonly place: BackupPlace;
  readonly request: Sent<BackUpNamespacesRequest>;
  /** With the agent's keys and store. */
  readonly repository: Pick<Repository, 'namespaces'>;
  readonly tools: Pick<ControlPlaneTools, 'agents' | 'random' | 'log'>;
  readonly signal: AbortSignal;
  readonly onUpdate: (update: TaskUpdate) => void;
}

const PATIENCE_MS = 300_000;
const PAUSE_MS = 2_000;
const CANCEL_MS = 10_000;

/**
 * Lets an agent read namespaces into a part; a connection that breaks is made again, which joins the work. Rejects as
 * `AgentDirectory` and the agent's calls do; what is given up is cancelled there.
 */
export async function askAgent(asked: AskedAgent): Promise<AgentReading> {
  const { node, operation, place, repository, tools, signal } = asked;
  const { cluster, timeline, id } = place;
  const request = { ...asked.request, cluster, timeline, backupId: id };
  let lastHeard = performance.now();
  const follow = async (): Promise<AgentReading> =>
    tools.agents.withTerm(
      node,
      operation,
      async (agent, fence) => {
        for await (const update of agent.backUpNamespaces({ ...request, fence }, { signal })) {
          lastHeard = performance.now();
          asked.onUpdate(update);
          if (update.namespaces?.part === undefined) continue;
          const { revision, readMs, objects, encryptedResources, part } = update.namespaces;
          const { storedSha256: sha256, ...told } = part;
          return {
            ...{ revision, readAt: new Date(readMs), unreadable: new Set(encryptedResources) },
            part: repository.namespaces.describePart(place, { ...told, sha256, objects, kind: 'etcd' }),
          };
        }
        throw new GuardianError('agent.connection-lost', `the agent of ${node} told no end of it`, {
          retryable: true,
        });
      },
      signal,
    );
  for (;;) {
    try {
      return await follow();
    } catch (error) {
      if (signal.aborted) await cancel(asked);
      signal.throwIfAborted();
      const goesOn = isAway(error) && performance.now() - lastHeard < PATIENCE_MS;
      if (!goesOn && !hasCode(error, 'agent.busy')) throw error;
    }
    await delay(PAUSE_MS * (0.5 + tools.random()), undefined, { signal });
  }
}

/** Nobody else joins this work. */
async function cancel({ node, operation, tools, signal }: AskedAgent): Promise<void> {
  try {
    const soon = AbortSignal.timeout(CANCEL_MS);
    const reason = reasonOf(signal.reason);
    await tools.agents.withTerm(
      node,
      operation,
      (agent, fence) => agent.cancelTask({ fence, reason }, { signal: soon }),
      soon,
    );
  } catch (error) {
    const text = `the agent of ${node} could not be told to stop: ${reasonOf(error)}`;
    tools.log.write('warning', 'backup-cancel', text, { operation });
  }
}

function isAway(error: unknown): boolean {
  return ['agent.connection-lost', 'agent.unreachable', 'agent.deadline', 'agent.closed'].some((code) =>
    hasCode(error, code),
  );
}
