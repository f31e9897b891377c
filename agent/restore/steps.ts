import type { AgentHandlers } from '../../lib/agent-api/agent-server.ts';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { Fence, Problem } from '../../lib/agent-api/request-parts.ts';
import type { RestoreState, RestoreStepRequest } from '../../lib/agent-api/restore-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import type { StepName as LedStep } from '../../lib/restore/cluster/participant.ts';
import { stageOf } from '../../lib/restore/cluster/restore-states.ts';
import type { PartTools } from '../agent-part.ts';
import { isSilence, MemberRestore, type MemberRestoreTools } from './member-restore.ts';
import { restoreStateMessage } from './restore-state-message.ts';

type StepName = LedStep | 'giveUp';

export interface StepDetails {
  /** 0 keeps the one before. */
  readonly deadlineMs?: number | undefined;
  /** Of a coordinator's call; absent where the node acts by itself. */
  readonly fence?: Fence | undefined;
  readonly reason?: Problem | undefined;
  /** Why a node that has given up commits. */
  readonly because?: string | undefined;
  /** Who decided that a way back is over also where etcd doesn't serve. */
  readonly unserved?: string | undefined;
}

export interface StepsTools extends Pick<PartTools, 'log' | 'terms'>, MemberRestoreTools {}

/** All steps on this node, one at a time; who asks for the one that goes on joins it. */
export class Steps {
  private readonly tools: StepsTools;
  private readonly journal: Journal;
  private going: { readonly key: string; readonly result: Promise<JournalEntry> } | undefined;

  constructor(tools: StepsTools) {
    this.tools = tools;
    this.journal = tools.journal;
  }

  get busy(): boolean {
    return this.going !== undefined;
  }

  async take(operation: string, name: StepName, details: StepDetails = {}): Promise<JournalEntry> {
    // What another term asked for may be refused for that alone.
    const key = `${operation} ${name} ${details.fence?.term ?? 'alone'}`;
    if (this.going?.key === key) return await this.going.result;
    while (this.going !== undefined) await this.going.result.catch(() => undefined);
    const result = this.run(operation, name, details).finally(() => {
      this.going = undefined;
    });
    this.going = { key, result };
    return await result;
  }

  /** Other work on the journal: no step goes on meanwhile. */
  async inTurn(work: () => Promise<JournalEntry>): Promise<JournalEntry> {
    while (this.going !== undefined) await this.going.result.catch(() => undefined);
    const result = work().finally(() => {
      this.going = undefined;
    });
    this.going = { key: '', result };
    return await result;
  }

  /**
   * What the journal says, once a commit that goes on is on disk or has failed: whoever took a higher term before it asks
   * must not be told what a commit that was let in before is about to change.
   */
  async state(operation: string): Promise<JournalEntry | undefined> {
    while (this.going?.key.startsWith(`${operation} commit`) === true)
      await this.going.result.catch(() => undefined);
    return this.journal.find(operation);
  }

  async settled(): Promise<void> {
    await this.going?.result.catch(() => undefined);
  }

  private async run(operation: string, name: StepName, details: StepDetails): Promise<JournalEntry> {
    const { log } = this.tools;
    const { deadlineMs = 0, fence } = details;
    // Again: it may have waited for its turn, and a higher term been taken meanwhile.
    if (fence !== undefined) await this.tools.terms.admit(fence);
    const before = this.journal.find(operation);
    const stage = before === undefined ? 'over' : stageOf(before.state);
    // One that says late that it leads what is only staged moves no deadline of a step.
    const isLate = name === 'hold' && stage !== 'before';
    if (before !== undefined && stage !== 'over' && !isLate) {
      const deadline = deadlineMs === 0 ? before.deadlineMs : deadlineMs;
      await this.journal.write({ ...before, deadlineMs: deadline, term: fence?.term ?? before.term });
    }
    const restore = new MemberRestore(operation, this.tools);
    try {
      const entry = await taken(restore, name, details).catch((error: unknown) => {
        throw name === 'rollBack' && isSilence(error) ? withWayOut(operation, error) : error;
      });
      if (name === 'hold') return entry;
      log.write('info', 'restore-step', `restore ${operation}: ${entry.state}`, {
        operation,
        state: entry.state,
      });
      return entry;
    } catch (error) {
      // Said again and again, also where staging hasn't begun or has failed already.
      if (name === 'hold') throw error;
      const text = `restore ${operation}: ${name} failed: ${errorText(error)}`;
      log.write('error', 'restore-step-failed', text, { operation, step: name, ...errorFields(error) });
      throw error;
    }
  }
}

async function taken(
  restore: MemberRestore,
  name: StepName,
  { reason, because, unserved }: StepDetails,
): Promise<JournalEntry> {
  if (name === 'rollBack') return await restore.rollBack(reason, unserved);
  if (name === 'commit') return await restore.commit(because);
  return await restore[name]();
}

function withWayOut(operation: string, error: GuardianError): GuardianError {
  return new GuardianError(error.code, error.message, {
    hint: `${error.hint ?? ''} If it never serves again: "etcdguardian restore settle ${operation} --roll-back --not-serving" ends this here, keeps both the old and the restored data, and makes room for another restore.`,
    retryable: error.retryable,
    cause: error,
  });
}

/** The calls that take steps. `beforeRollBack` ends what is staged; `onGivenUp` asks the peers of a node that gave up. */
export function stepHandlers(
  terms: PartTools['terms'],
  steps: Steps,
  beforeRollBack: (operation: string) => Promise<void>,
  onGivenUp: (operation: string) => Promise<void>,
): AgentHandlers {
  const step =
    (name: LedStep) =>
    async ({ fence, deadlineMs, reason }: RestoreStepRequest): Promise<Sent<RestoreState>> => {
      const admitted = await terms.admit(fence);
      const { operation } = admitted;
      if (name === 'rollBack') {
        // What is about to be staged has begun then.
        await steps.settled();
        await beforeRollBack(operation);
      }
      if (name === 'commit') await onGivenUp(operation);
      return restoreStateMessage(await steps.take(operation, name, { deadlineMs, fence: admitted, reason }));
    };
  return {
    hold: step('hold'),
    ...{ quiesce: step('quiesce'), swap: step('swap'), startEtcd: step('startEtcd'), verify: step('verify') },
    ...{
      commit: step('commit'),
      resume: step('resume'),
      rollBack: step('rollBack'),
      cleanUp: step('cleanUp'),
    },
  };
}
