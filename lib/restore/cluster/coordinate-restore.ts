import type { Problem } from '../../agent-api/request-parts.ts';
import type { RestoreState } from '../../agent-api/restore-messages.ts';
import type { TaskUpdate } from '../../agent-api/task-messages.ts';
import { GuardianError, hasCode, reasonOf } from '../../guardian-error.ts';
import { insist, isAway } from './insist.ts';
import type { Participant, StageOrder, StepCall, StepName } from './participant.ts';
import { restoreStateName, stageOf } from './restore-states.ts';

export interface RestoreOrder {
  /** Names the restore everywhere, e.g. the uid of the EtcdRestore. */
  readonly operation: string;
  readonly stage: StageOrder;
}

export interface CoordinatorTools {
  /** Who leads, for the agents' messages; tells a later leader whom it follows. */
  readonly holder: string;
  /** Whether a term's holder is this very process at other work, which must not stop the restore. */
  readonly isOurs: (holder: string) => boolean;
  readonly onStep: (progress: CoordinatorProgress) => void;
  /** Between staging and the first thing that is stopped, e.g. hooks. A failure gives the restore up, at no cost. */
  readonly beforeQuiesce?: ((signal: AbortSignal) => Promise<void>) | undefined;
  readonly budgets?: Partial<Budgets> | undefined;
  /** Gives the restore up as long as nothing is stopped; no effect later. */
  readonly signal: AbortSignal;
}

export interface CoordinatorProgress {
  readonly step: 'Staging' | 'Quiescing' | 'Swapping' | 'Verifying' | 'Resuming' | 'RollingBack';
  readonly term: bigint;
  /** What is known of each node, by its name. */
  readonly states: ReadonlyMap<string, RestoreState>;
  /** While staging. */
  readonly update?: { readonly node: string; readonly update: TaskUpdate } | undefined;
}

/** How long each step may take on a node. */
export interface Budgets {
  readonly stageMs: number;
  readonly quiesceMs: number;
  readonly swapMs: number;
  readonly startMs: number;
  readonly verifyMs: number;
  readonly commitMs: number;
  readonly resumeMs: number;
  readonly rollBackMs: number;
}

export const BUDGETS: Budgets = {
  stageMs: 6 * 3_600_000,
  ...{ quiesceMs: 150_000, swapMs: 60_000, startMs: 180_000, verifyMs: 300_000 },
  ...{ commitMs: 60_000, resumeMs: 120_000, rollBackMs: 300_000 },
};

export type RestoreOutcome = {
  readonly term: bigint;
  readonly states: ReadonlyMap<string, RestoreState>;
} & (
  | {
      readonly kind: 'restored';
      /** Of one that was committed but not resumed yet. */ readonly trouble: unknown;
    }
  | { readonly kind: 'rolled-back'; readonly failure: unknown }
  /** The way back isn't through; the nodes go on with it by themselves. */
  | { readonly kind: 'going-back'; readonly failure: unknown; readonly trouble: unknown }
  /** Who could tell whether it was committed is away; the nodes bring it to an end by themselves. */
  | { readonly kind: 'unknown'; readonly failure: unknown }
  /** Another coordinator has taken it over. */
  | { readonly kind: 'taken-over'; readonly failure: unknown }
);

/**
 * Leads a restore from staging to its end, by calls to its participants alone: whether a Lease or an API server is there
 * doesn't matter. All stage before anything stops; all do a step before anyone does the next; nobody commits before all
 * are verified. A failure before that puts everything back. Never rejects; it may be called again for the same order, by
 * a new coordinator too.
 */
export async function coordinateRestore(
  order: RestoreOrder,
  participants: readonly Participant[],
  tools: CoordinatorTools,
): Promise<RestoreOutcome> {
  return await new Coordinator(order, participants, tools).run();
}

/** Puts a restore back that nobody leads, or gives it up. */
export async function abandonRestore(
  order: Pick<RestoreOrder, 'operation'>,
  participants: readonly Participant[],
  tools: CoordinatorTools,
  failure: GuardianError,
): Promise<RestoreOutcome> {
  return await new Coordinator({ ...order, stage: {} }, participants, tools).abandon(failure);
}

/** Finishes a restore that was committed. */
export async function finishRestore(
  order: Pick<RestoreOrder, 'operation'>,
  participants: readonly Participant[],
  tools: CoordinatorTools,
): Promise<RestoreOutcome> {
  return await new Coordinator({ ...order, stage: {} }, participants, tools).finish();
}

const EVERY_MS = 500;

class Coordinator {
  private readonly order: RestoreOrder;
  private readonly participants: readonly Participant[];
  private readonly tools: CoordinatorTools;
  private readonly budgets: Budgets;
  private readonly states = new Map<string, RestoreState>();
  /** Once something is stopped, only an end stops this. */
  private readonly never = new AbortController().signal;
  private term = 0n;

  constructor(order: RestoreOrder, participants: readonly Participant[], tools: CoordinatorTools) {
    this.order = order;
    this.participants = participants;
    this.tools = tools;
    this.budgets = { ...BUDGETS, ...tools.budgets };
  }

  async run(): Promise<RestoreOutcome> {
    const { stageMs, quiesceMs, swapMs, startMs, verifyMs } = this.budgets;
    try {
      // 1. The right to lead, and everything that can be done while the cluster lives.
      await this.takeTerms(this.tools.signal);
      await this.stageAll(stageMs);
      await this.tools.beforeQuiesce?.(this.tools.signal);
      this.tools.signal.throwIfAborted();
      await this.takeTerms(this.tools.signal);

      // 2. Down, over, and up again; each step on all before the next.
      await this.all('Quiescing', 'quiesce', quiesceMs);
      await this.all('Swapping', 'swap', swapMs);
      await this.all('Swapping', 'startEtcd', startMs);
      await this.all('Verifying', 'verify', verifyMs);
      this.requireOneCluster();
    } catch (failure) {
      return await this.abandon(failure);
    }
    return await this.finish();
  }

  async finish(): Promise<RestoreOutcome> {
    const { commitMs, resumeMs } = this.budgets;
    try {
      if (this.term === 0n) await this.takeTerms(this.never);
      await this.all('Verifying', 'commit', commitMs);
    } catch (failure) {
      // Refused: nobody has committed, or this would not be the answer. Away: nobody knows.
      if (hasCode(failure, 'agent.stale-term')) return this.outcome({ kind: 'taken-over', failure });
      if (isAway(failure)) return this.outcome({ kind: 'unknown', failure });
      return await this.abandon(failure);
    }
    try {
      await this.all('Resuming', 'resume', resumeMs);
      return this.outcome({ kind: 'restored', trouble: undefined });
    } catch (trouble) {
      return this.outcome({ kind: 'restored', trouble });
    }
  }

  async abandon(failure: unknown): Promise<RestoreOutcome> {
    if (hasCode(failure, 'agent.stale-term')) return this.outcome({ kind: 'taken-over', failure });
    const reason = problemOf(failure);
    try {
      if (this.term === 0n) await this.takeTerms(this.never);
      await this.all('RollingBack', 'rollBack', this.budgets.rollBackMs, reason);
      return this.outcome({ kind: 'rolled-back', failure });
    } catch (trouble) {
      // It was never there, or ended by itself.
      if (hasCode(trouble, 'restore.unknown')) return this.outcome({ kind: 'rolled-back', failure });
      if (hasCode(trouble, 'restore.committed')) return this.outcome({ kind: 'unknown', failure: trouble });
      return this.outcome({ kind: 'going-back', failure, trouble });
    }
  }

  /** The same term everywhere, above all that were taken. */
  private async takeTerms(signal: AbortSignal): Promise<void> {
    const take = (atLeast: bigint): Promise<bigint[]> =>
      Promise.all(
        this.participants.map((participant) =>
          this.bear(() => participant.takeTerm(this.tools.holder, atLeast, signal), signal),
        ),
      );
    let terms = await take(this.term + 1n);
    let highest = maximum(terms);
    while (terms.some((term) => term !== highest)) {
      terms = await take(highest + 1n);
      highest = maximum(terms);
    }
    this.term = highest;
  }

  private async stageAll(budgetMs: number): Promise<void> {
    const { signal } = this.tools;
    this.tell('Staging');
    await this.onAll(async (participant) => {
      await this.led(participant, signal, (call) =>
        participant.stage(
          this.order.stage,
          { ...call, budgetMs },
          (update) => {
            this.tell('Staging', { node: participant.node, update });
          },
          signal,
        ),
      );
      const state = await participant.status(this.order.operation, signal);
      if (state !== undefined) this.states.set(participant.node, state);
    });
    this.tell('Staging');
  }

  private async all(
    step: CoordinatorProgress['step'],
    name: StepName,
    budgetMs: number,
    reason?: Problem,
  ): Promise<void> {
    this.tell(step);
    await this.onAll(async (participant) => {
      const state = await this.led(participant, this.never, (call) =>
        participant.step(name, { ...call, budgetMs, reason }, this.never),
      );
      this.states.set(participant.node, state);
    });
    this.tell(step);
  }

  /** All end before the first failure is told: nobody is in the middle of a step when the next one comes. */
  private async onAll(work: (participant: Participant) => Promise<void>): Promise<void> {
    const ends = await Promise.allSettled(this.participants.map(work));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Calls with our term, taken anew where this very process took another one for other work meanwhile. */
  private async led<T>(
    participant: Participant,
    signal: AbortSignal,
    work: (call: Pick<StepCall, 'fence'>) => Promise<T>,
  ): Promise<T> {
    const { operation } = this.order;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.bear(() => work({ fence: { operation, term: this.term } }), signal);
      } catch (error) {
        if (!hasCode(error, 'agent.stale-term') || attempt > MOST_RETAKEN) throw error;
        const holder = await participant.termHolder(signal);
        if (holder !== this.tools.holder && !this.tools.isOurs(holder)) throw error;
        await this.takeTerms(signal);
      }
    }
  }

  private async bear<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return await insist(call, { forMs: AWAY_MS, everyMs: EVERY_MS, signal });
  }

  private requireOneCluster(): void {
    const staged = [...this.states.values()].map((state) => state.staged);
    const [first] = staged;
    const same = staged.every(
      (one) =>
        one?.clusterId === first?.clusterId &&
        one?.hashKv === first?.hashKv &&
        one?.revision === first?.revision,
    );
    if (same && first !== undefined) return;
    throw new GuardianError(
      'restore.members-differ',
      'the restored members are not of one cluster with the same data',
      {
        hint: 'Everything was put back. Report this with the logs of the agents.',
      },
    );
  }

  private tell(step: CoordinatorProgress['step'], update?: CoordinatorProgress['update']): void {
    this.tools.onStep({ step, term: this.term, states: new Map(this.states), update });
  }

  private outcome<K extends object>(
    kind: K,
  ): K & { term: bigint; states: ReadonlyMap<string, RestoreState> } {
    return { ...kind, term: this.term, states: new Map(this.states) };
  }
}

/** An agent that restarts is back well within this. */
const AWAY_MS = 90_000;
const MOST_RETAKEN = 5;

function maximum(terms: readonly bigint[]): bigint {
  return terms.reduce((highest, term) => (term > highest ? term : highest), 0n);
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof GuardianError))
    return { code: 'restore.failed', message: reasonOf(error), hint: '', retryable: false };
  const { code, message, hint = '', retryable } = error;
  return { code, message, hint, retryable };
}

/** What a later coordinator has to do with a restore that it finds, by what the nodes tell. */
export function nextMove(states: readonly RestoreState[]): 'begin' | 'finish' | 'abandon' | 'over' {
  const stages = states.flatMap(({ state }) => {
    const name = restoreStateName(state);
    return name === undefined ? [] : [stageOf(name)];
  });
  if (stages.includes('committed')) return 'finish';
  if (stages.includes('open') || stages.includes('going-back')) return 'abandon';
  if (stages.includes('over')) return 'over';
  return 'begin';
}
