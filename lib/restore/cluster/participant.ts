import type { AgentClient } from '../../agent-api/agent-client.ts';
import type { Problem, Fence } from '../../agent-api/request-parts.ts';
import type { RestoreState, StageRequest } from '../../agent-api/restore-messages.ts';
import type { Sent } from '../../agent-api/fields.ts';
import type { TaskUpdate } from '../../agent-api/task-messages.ts';
import { GuardianError, hasCode } from '../../guardian-error.ts';

/** A step that has one answer; the same name as its call. */
export type StepName =
  'hold' | 'quiesce' | 'swap' | 'startEtcd' | 'verify' | 'commit' | 'resume' | 'rollBack' | 'cleanUp';

export interface StepCall {
  readonly fence: Fence;
  /** So long the node tries by itself, from when the call arrives. */
  readonly budgetMs: number;
  readonly reason?: Problem | undefined;
}

export interface StageCall extends StepCall {
  /** So long it is kept without a `hold`; undefined: as long as `budgetMs`. */
  readonly holdMs?: number | undefined;
}

/** What a coordinator gives all participants to stage; each finds itself among the members. */
export type StageOrder = Omit<Sent<StageRequest>, 'fence' | 'deadlineMs' | 'holdMs'>;

/** What a node tells about who may lead there, and what is led. */
export interface NodeView {
  /** Who holds the highest term. */
  readonly termHolder: string;
  /** What that was taken for; empty where the agent doesn't know. */
  readonly termOperation: string;
  readonly restores: readonly RestoreState[];
}

export interface TermWish {
  readonly holder: string;
  readonly atLeast: bigint;
  readonly operation: string;
}

/** A member's node, as a coordinator sees it. Calls reject as `AgentClient` does and with what goes wrong there. */
export interface Participant {
  readonly node: string;
  /** Rejects with `restore.busy`, and changes nothing, where another restore is under way. */
  takeTerm(wish: TermWish, signal: AbortSignal): Promise<bigint>;
  look(signal: AbortSignal): Promise<NodeView>;
  stage(
    order: StageOrder,
    call: StageCall,
    onUpdate: (update: TaskUpdate) => void,
    signal: AbortSignal,
  ): Promise<NonNullable<TaskUpdate['stage']>>;
  step(name: StepName, call: StepCall, signal: AbortSignal): Promise<RestoreState>;
  /** Undefined where the node knows of no such restore. */
  status(operation: string, signal: AbortSignal): Promise<RestoreState | undefined>;
}

/** `clockSkewMs`: the node's clock minus ours, since deadlines are by its own. */
export function agentParticipant(client: AgentClient, clockSkewMs: number, now: () => Date): Participant {
  const deadlineMs = (budgetMs: number): number => Math.round(now().getTime() + clockSkewMs + budgetMs);
  return {
    node: client.node,
    async takeTerm(wish, signal) {
      const { term } = await client.takeTerm(wish, { signal });
      return term;
    },
    look: (signal) => client.describe({}, { signal, timeoutMs: LOOK_MS }),
    async stage(order, { fence, budgetMs, holdMs }, onUpdate, signal) {
      const request = { ...order, fence, deadlineMs: deadlineMs(budgetMs), holdMs };
      for await (const update of client.stage(request, { signal })) {
        onUpdate(update);
        if (update.stage !== undefined) return update.stage;
      }
      throw new GuardianError('agent.protocol', `the agent of ${client.node} staged without a result`, {
        hint: 'Agent and caller must be of the same version: finish the upgrade.',
      });
    },
    step: (name, { fence, budgetMs, reason }, signal) =>
      client[name](
        { fence, deadlineMs: deadlineMs(budgetMs), reason },
        { signal, timeoutMs: budgetMs + ANSWER_MS },
      ),
    async status(operation, signal) {
      try {
        return await client.restoreStatus({ operation }, { signal });
      } catch (error) {
        if (hasCode(error, 'restore.unknown')) return undefined;
        throw error;
      }
    },
  };
}

/** An etcd that hangs takes the agent some seconds. */
const LOOK_MS = 10_000;
/** For an answer to arrive behind the node's own deadline. */
const ANSWER_MS = 10_000;
