import type { AgentClient } from '../../lib/agent-api/agent-client.ts';
import type { Description } from '../../lib/agent-api/description.ts';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { KnownAgent } from './agent-directory.ts';
import type { AgentPod } from './agent-pods.ts';
import { takeTerm } from './agent-terms.ts';

export interface WatchedAgentTools {
  readonly clock: Clock;
  /** Ends leadership. */
  readonly signal: AbortSignal;
  /** Who takes terms. */
  readonly podName: string;
  /** Throws when this replica leads no more. */
  readonly requireLeading: () => void;
  readonly onAnswer: (agent: WatchedAgent, description: Description, clockSkewMs: number) => void;
  /** `isNew`: it failed otherwise before, or not at all. */
  readonly onSilence: (agent: WatchedAgent, problem: GuardianError, isNew: boolean) => void;
}

const DESCRIBE_TIMEOUT_MS = 10_000;

/** One agent: a connection to its pod, what it told last, and the term that this leader holds there. */
export class WatchedAgent {
  readonly pod: AgentPod;
  readonly client: AgentClient;
  readonly #tools: WatchedAgentTools;
  #told: Pick<KnownAgent, 'description' | 'describedAt' | 'problem' | 'clockSkewMs'> = {
    ...{ description: undefined, describedAt: undefined, problem: undefined, clockSkewMs: undefined },
  };
  #describedMs = -Infinity;
  #asking: Promise<Description> | undefined;
  #term: Promise<bigint> | undefined;
  #closed = false;

  constructor(pod: AgentPod, client: AgentClient, tools: WatchedAgentTools) {
    this.pod = pod;
    this.client = client;
    this.#tools = tools;
  }

  get known(): KnownAgent {
    return { ...this.pod, ...this.#told };
  }

  isFresh(maxAgeMs: number, nowMs: number): boolean {
    return this.#told.problem === undefined && nowMs - this.#describedMs <= maxAgeMs;
  }

  /** Asks it now; callers at the same time share one question. Rejects as `AgentClient` does, and with the signal's reason. */
  async ask(): Promise<Description> {
    this.#asking ??= this.#askOnce().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** The term that is held, else taken now. Rejects as `takeTerm` does. */
  term(): Promise<bigint> {
    const { requireLeading, podName, signal } = this.#tools;
    requireLeading();
    if (this.#term !== undefined) return this.#term;
    const taken = takeTerm(this.client, () => this.ask(), podName, signal);
    this.#term = taken;
    taken.catch(() => {
      this.forgetTerm(taken);
    });
    return taken;
  }

  /** This one is no good; one that was taken since stays. */
  forgetTerm(taken: Promise<bigint>): void {
    if (this.#term === taken) this.#term = undefined;
  }

  /** What is still on its way is told to nobody. */
  close(): void {
    this.#closed = true;
    this.client.close();
  }

  async #askOnce(): Promise<Description> {
    const { clock, signal, onAnswer, onSilence } = this.#tools;
    try {
      const sentAt = clock().getTime();
      const description = await this.client.describe({}, { signal, timeoutMs: DESCRIBE_TIMEOUT_MS });
      const describedAt = clock();
      const before = this.#told.description;
      // Another instance may have another disk under it.
      if (before !== undefined && before.instance !== description.instance) this.#term = undefined;
      const clockSkewMs = description.timeMs - (sentAt + describedAt.getTime()) / 2;
      this.#told = { description, describedAt, problem: undefined, clockSkewMs };
      this.#describedMs = performance.now();
      if (!this.#closed) onAnswer(this, description, clockSkewMs);
      return description;
    } catch (error) {
      signal.throwIfAborted();
      const problem = agentProblem(this.pod.node, error);
      const isNew = this.#told.problem?.code !== problem.code;
      this.#told = { ...this.#told, problem };
      if (!this.#closed) onSilence(this, problem, isNew);
      throw problem;
    }
  }
}

function agentProblem(node: string, error: unknown): GuardianError {
  if (error instanceof GuardianError) return error;
  return new GuardianError('agent.failed', `the agent of ${node}: ${reasonOf(error)}`, {
    cause: error,
    retryable: true,
  });
}
