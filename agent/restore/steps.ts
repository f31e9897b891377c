import type { AgentHandlers } from '../../lib/agent-api/agent-server.ts';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { Problem } from '../../lib/agent-api/request-parts.ts';
import type { RestoreState, RestoreStepRequest } from '../../lib/agent-api/restore-messages.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { stageOf } from '../../lib/restore/cluster/restore-states.ts';
import type { PartTools } from '../agent-part.ts';
import { MemberRestore } from './member-restore.ts';
import type { NodeServices } from './node-services.ts';
import { restoreStateMessage } from './restore-state-message.ts';

type StepName = 'quiesce' | 'swap' | 'startEtcd' | 'verify' | 'commit' | 'resume' | 'rollBack' | 'cleanUp';

export interface StepDetails {
  readonly deadlineMs?: number | undefined;
  readonly term?: bigint | undefined;
  readonly reason?: Problem | undefined;
}

/** All steps on this node, one at a time; who asks for the one that goes on joins it. */
export class Steps {
  private readonly tools: Pick<PartTools, 'clock' | 'signal' | 'log'>;
  private readonly journal: Journal;
  private readonly services: (entry: JournalEntry) => NodeServices;
  private going: { readonly key: string; readonly result: Promise<JournalEntry> } | undefined;

  constructor(
    tools: Pick<PartTools, 'clock' | 'signal' | 'log'>,
    journal: Journal,
    services: (entry: JournalEntry) => NodeServices,
  ) {
    this.tools = tools;
    this.journal = journal;
    this.services = services;
  }

  get busy(): boolean {
    return this.going !== undefined;
  }

  /** `deadlineMs`: 0 keeps the one before. */
  async take(
    operation: string,
    name: StepName,
    { deadlineMs = 0, term, reason }: StepDetails,
  ): Promise<JournalEntry> {
    const key = `${operation} ${name}`;
    if (this.going?.key === key) return await this.going.result;
    while (this.going !== undefined) await this.going.result.catch(() => undefined);
    const result = this.run(operation, name, deadlineMs, term, reason).finally(() => {
      this.going = undefined;
    });
    this.going = { key, result };
    return await result;
  }

  async settled(): Promise<void> {
    await this.going?.result.catch(() => undefined);
  }

  private async run(
    operation: string,
    name: StepName,
    deadlineMs: number,
    term: bigint | undefined,
    reason: Problem | undefined,
  ): Promise<JournalEntry> {
    const { clock, signal, log } = this.tools;
    const before = this.journal.find(operation);
    if (before !== undefined && stageOf(before.state) !== 'over') {
      const deadline = deadlineMs === 0 ? before.deadlineMs : deadlineMs;
      await this.journal.write({ ...before, deadlineMs: deadline, term: term ?? before.term });
    }
    const restore = new MemberRestore(operation, {
      journal: this.journal,
      clock,
      signal,
      services: this.services,
    });
    try {
      const entry = name === 'rollBack' ? await restore.rollBack(reason) : await restore[name]();
      log.write('info', 'restore-step', `restore ${operation}: ${entry.state}`, {
        operation,
        state: entry.state,
      });
      return entry;
    } catch (error) {
      const text = `restore ${operation}: ${name} failed: ${errorText(error)}`;
      log.write('error', 'restore-step-failed', text, { operation, step: name, ...errorFields(error) });
      throw error;
    }
  }
}

/** The calls that take steps. `beforeRollBack` ends what is staged. */
export function stepHandlers(
  { terms }: PartTools,
  steps: Steps,
  beforeRollBack: (operation: string) => Promise<void>,
): AgentHandlers {
  const step =
    (name: StepName) =>
    async ({ fence, deadlineMs, reason }: RestoreStepRequest): Promise<Sent<RestoreState>> => {
      const { operation, term } = await terms.admit(fence);
      if (name === 'rollBack') await beforeRollBack(operation);
      return restoreStateMessage(await steps.take(operation, name, { deadlineMs, term, reason }));
    };
  return {
    ...{ quiesce: step('quiesce'), swap: step('swap'), startEtcd: step('startEtcd'), verify: step('verify') },
    ...{
      commit: step('commit'),
      resume: step('resume'),
      rollBack: step('rollBack'),
      cleanUp: step('cleanUp'),
    },
  };
}
