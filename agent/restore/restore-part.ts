import { join } from 'node:path';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { TaskUpdate } from '../../lib/agent-api/task-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { realWaiting } from '../../lib/restore/cluster/waiting.ts';
import { type JournalEntry, openJournal } from '../../lib/restore/cluster/journal.ts';
import { stageOf } from '../../lib/restore/cluster/restore-states.ts';
import type { AgentPart, PartTools } from '../agent-part.ts';
import { memberData } from './member-data.ts';
import { readKeys } from './read-keys.ts';
import { type NodeServices, nodeServices, type ServiceCommands } from './node-services.ts';
import { agentPeers } from './peers.ts';
import { planOfRequest, planText } from './plan-of-request.ts';
import { restoreStateMessage } from './restore-state-message.ts';
import { watchRestores } from './restore-watchdog.ts';
import { settle } from './settle.ts';
import { StageRuns, type StageWork } from './stage-runs.ts';
import { begun, staging } from './staging.ts';
import type { Patience } from './static-pod-service.ts';
import { Steps, stepHandlers } from './steps.ts';

export interface RestorePartOptions {
  readonly commands?: ServiceCommands | undefined;
  /** With static pods; default for a kubelet. */
  readonly patience?: Patience | undefined;
  /** How often deadlines are looked at. Default 1 s. */
  readonly watchEveryMs?: number | undefined;
  /** How long the data before a restore is kept. Default a week. */
  readonly keepPreviousMs?: number | undefined;
}

/** Steps of a cluster restore on this node. Rejects with `restore.journal` where a restore may be under way unknown. */
export async function restorePart(tools: PartTools, options: RestorePartOptions = {}): Promise<AgentPart> {
  const folder = join(tools.settings.stateDir, 'restores');
  const journal = await openJournal(folder);
  const services = (entry: JournalEntry): NodeServices =>
    nodeServices(entry.etcd, join(folder, entry.operation), options.commands ?? {}, options.patience);
  const { settings, credentials, clock, log, signal, terms } = tools;
  terms.reserve(() => journal.list().find(({ state }) => stageOf(state) !== 'over')?.operation);
  const steps = new Steps({ journal, services, data: memberData, clock, log, terms, signal });
  const stages = new StageRuns();
  const peers = agentPeers({
    ...{ node: settings.node, credentials, clock },
    onAway(node, why) {
      log.write('warning', 'restore-peer-away', `the agent of ${node} was asked about a restore: ${why}`);
    },
  });
  const watch = watchRestores({
    ...{ journal, steps, peers, clock, waiting: realWaiting, log, signal },
    everyMs: options.watchEveryMs ?? 1_000,
    keepPreviousMs: options.keepPreviousMs ?? KEEP_PREVIOUS_MS,
    isStaging: (operation) => stages.operation === operation,
    endStaging: (operation) => stages.cancel(operation),
  });
  return {
    handlers: {
      async *stage(request, { signal }) {
        const fence = await terms.admit(request.fence);
        const { operation } = fence;
        const run: { updates?: AsyncGenerator<Sent<TaskUpdate>, void> } = {};
        const identity = planText(planOfRequest(request));
        // An earlier coordinator planned otherwise, and whoever leads now has no use for it.
        await stages.supersede(operation, identity);
        // Begun in one turn with its entry: a way back that comes meanwhile finds it, and ends it.
        const entry = await steps.inTurn(async () => {
          signal.throwIfAborted();
          stages.requireFree(operation, identity);
          const written = await begun(request, fence, { tools, journal, services });
          if (written.staged === undefined) {
            const work: StageWork = (tell, until) =>
              staging(until, request, written, tell, { tools, journal, steps });
            run.updates = stages.follow(operation, identity, work, { caller: signal, agent: tools.signal });
          }
          return written;
        });
        if (run.updates === undefined)
          yield { step: 'Staging', message: 'staged already', stage: { ...entry.staged } };
        else yield* run.updates;
      },
      async readKeys(request, { signal }) {
        const { client } = await tools.etcd.current();
        return await readKeys(client, request, signal);
      },
      ...stepHandlers(terms, steps, (operation) => stages.cancel(operation), watch.askAtOnce),
      async restoreStatus({ operation }) {
        const entry = await steps.state(operation);
        if (entry !== undefined) return restoreStateMessage(entry);
        throw new GuardianError('restore.unknown', `this node knows of no restore ${operation}`, {
          hint: 'It never came so far, or it was long ago.',
        });
      },
      settle: async (request) =>
        restoreStateMessage(
          await settle(request, {
            ...{ journal, steps, peers, terms, clock, log, signal },
            endStaging: (operation) => stages.cancel(operation),
          }),
        ),
    },
    restores: () => journal.list().map(restoreStateMessage),
    async close() {
      await watch.ended;
      await stages.settled();
      await steps.settled();
    },
  };
}

const KEEP_PREVIOUS_MS = 7 * 86_400_000;
