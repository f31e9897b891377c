import type { Fence } from '../../agent-api/request-parts.ts';
import type { RestoreState } from '../../agent-api/restore-messages.ts';
import type { TaskUpdate } from '../../agent-api/task-messages.ts';
import { type GuardianError, hasCode } from '../../guardian-error.ts';
import { LedNodes, type LedNodesTools, type SeenNode } from './led-nodes.ts';
import { isCommitted } from './next-move.ts';
import { requireOneCluster } from './one-cluster.ts';
import type { Participant, StageOrder } from './participant.ts';
import { outcomeNotKnown } from './restore-under-way.ts';

export interface RestoreOrder {
  /** Names the restore everywhere, e.g. the uid of the EtcdRestore. */
  readonly operation: string;
  readonly stage: StageOrder;
}

export interface CoordinatorTools extends LedNodesTools {
  readonly onStep: (progress: CoordinatorProgress) => void;
  /** Between staging and the first thing that is stopped, e.g. hooks, by this fence. A failure gives the restore up, at no cost. */
  readonly beforeQuiesce?: ((signal: AbortSignal, fence: () => Fence) => Promise<void>) | undefined;
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
  /** So long a node keeps what is staged without hearing of its coordinator. */
  readonly holdMs: number;
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
  holdMs: 180_000,
  ...{ quiesceMs: 150_000, swapMs: 60_000, startMs: 180_000, verifyMs: 300_000 },
  ...{ commitMs: 60_000, resumeMs: 120_000, rollBackMs: 300_000 },
};

export type RestoreOutcome = {
  readonly term: bigint;
  readonly states: ReadonlyMap<string, RestoreState>;
} & (
  | {
      readonly kind: 'restored';
      /** Of a node that has not committed or resumed yet, which it does by itself. */
      readonly trouble: unknown;
    }
  | { readonly kind: 'rolled-back'; readonly failure: unknown }
  /** Decided, but not through everywhere; the nodes go on with it by themselves. */
  | { readonly kind: 'going-back'; readonly failure: unknown; readonly trouble: unknown }
  /** Who could tell whether it was committed is away; the nodes bring it to an end by themselves. */
  | { readonly kind: 'unknown'; readonly failure: unknown }
  /** Another coordinator has taken it over. */
  | { readonly kind: 'taken-over'; readonly failure: unknown }
);

/**
 * Leads a restore from staging to its end, by calls to its participants alone: whether a Lease or an API server is there
 * doesn't matter. `participants` are the nodes of all planned members. All stage before anything stops; all do a step
 * before anyone does the next; nobody is told to commit before all were seen verified under one term that this coordinator
 * holds at all. A failure before that puts everything back; after it, what the nodes tell decides. Never rejects; it may be
 * called again for the same order, by a new coordinator too.
 */
export async function coordinateRestore(
  order: RestoreOrder,
  participants: readonly Participant[],
  tools: CoordinatorTools,
): Promise<RestoreOutcome> {
  return await new Coordinator(order.operation, participants, tools).run(order.stage);
}

/**
 * Brings a restore to its end that nobody leads: forward where a node has committed, else back where it is certain that
 * none has. `participants` are the nodes of all its members. Never rejects.
 */
export async function concludeRestore(
  { operation }: Pick<RestoreOrder, 'operation'>,
  participants: readonly Participant[],
  tools: CoordinatorTools,
  failure: GuardianError,
): Promise<RestoreOutcome> {
  return await new Coordinator(operation, participants, tools).conclude(failure);
}

/**
 * Commits, for a person, what nobody leads any more: if all nodes answer, have verified, and have not given up. Undefined
 * where that isn't so: nothing was done then. Never rejects.
 */
export async function commitVerified(
  { operation }: Pick<RestoreOrder, 'operation'>,
  participants: readonly Participant[],
  tools: CoordinatorTools,
): Promise<RestoreOutcome | undefined> {
  return await new Coordinator(operation, participants, tools).commitVerified();
}

/**
 * Makes room on nodes that have staged for a restore which isn't led on, where it is certain that none has committed. Who
 * doesn't answer soon lets go of it by itself. Never rejects.
 */
export async function releaseStaged(
  { operation }: Pick<RestoreOrder, 'operation'>,
  participants: readonly Participant[],
  tools: LedNodesTools,
  failure: unknown,
): Promise<void> {
  const nodes = new LedNodes(operation, participants, tools, SOON_MS);
  await nodes.surveyed(SOON_MS);
  if (nodes.nobodyCommitted)
    await nodes.eachOfThem((participant) => nodes.rollBack(participant, SOON_MS, failure));
}

/** How long nodes that are away are waited for before it is decided without them, and in vain. */
const SOON_MS = 10_000;
/** An agent that restarts is back well within this. */
const AWAY_MS = 90_000;
const MOST_VOTES = 5;
const MOST_ROUNDS = 5;

class Coordinator {
  private readonly operation: string;
  private readonly tools: CoordinatorTools;
  private readonly budgets: Budgets;
  private readonly nodes: LedNodes;
  private rounds = 0;
  private begun = false;

  constructor(operation: string, participants: readonly Participant[], tools: CoordinatorTools) {
    this.operation = operation;
    this.tools = tools;
    this.budgets = { ...BUDGETS, ...tools.budgets };
    this.nodes = new LedNodes(operation, participants, tools, AWAY_MS);
  }

  async run(stage: StageOrder): Promise<RestoreOutcome> {
    const { stageMs, holdMs, quiesceMs, swapMs, startMs } = this.budgets;
    const { nodes, tools } = this;
    try {
      // 1. The right to lead, if nothing that can be seen stands in the way, and everything that can be done while the
      //    cluster lives.
      await nodes.lookAround(SOON_MS, tools.signal);
      await nodes.takeTerms(tools.signal);
      this.begun = true;
      this.tell('Staging');
      const letGo = nodes.hold(holdMs);
      try {
        await nodes.stageAll(stage, { budgetMs: stageMs, holdMs }, tools.signal, (update) => {
          this.tell('Staging', update);
        });
        requireOneCluster(nodes.states.values());
        await tools.beforeQuiesce?.(tools.signal, () => nodes.fence);
      } finally {
        letGo();
      }
      tools.signal.throwIfAborted();
      await nodes.takeTerms(tools.signal);

      // 2. Down, over, and up again; each step on all before the next.
      await this.all('Quiescing', 'quiesce', quiesceMs);
      await this.all('Swapping', 'swap', swapMs);
      await this.all('Swapping', 'startEtcd', startMs);
      await this.vote();
    } catch (failure) {
      return await this.giveUp(failure);
    }
    return await this.goForward();
  }

  /** Terms first, then what the nodes tell: whatever anyone with a lower term has begun is over by then, or seen. */
  async conclude(failure: unknown): Promise<RestoreOutcome> {
    const { nodes } = this;
    let seen: readonly SeenNode[] = [];
    for (const forMs of [SOON_MS, AWAY_MS]) {
      seen = await nodes.surveyed(forMs);
      if (seen.some(({ state }) => state !== undefined && isCommitted(state))) return await this.goForward();
      if (nodes.nobodyCommitted || this.isEverybody(seen) || this.isUnknownToAll(seen))
        return await this.goBack(failure);
    }
    return this.outcome({ kind: 'unknown', failure: this.notKnown(seen, failure) });
  }

  async commitVerified(): Promise<RestoreOutcome | undefined> {
    const seen = await this.nodes.surveyed(SOON_MS);
    return this.nodes.allVoted && this.isEverybody(seen) ? await this.goForward() : undefined;
  }

  /** Nobody commits before all have voted, and all were seen to under one term. */
  private async vote(): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.all('Verifying', 'verify', this.budgets.verifyMs);
      requireOneCluster(this.nodes.states.values());
      if (this.nodes.allVoted) return;
      if (tries === MOST_VOTES) throw this.nodes.notVoted();
    }
  }

  /** Each on its own from here: the first that has committed has decided for all. */
  private async goForward(): Promise<RestoreOutcome> {
    const { nodes } = this;
    const { commitMs, resumeMs } = this.budgets;
    this.tell('Verifying');
    const ends = await nodes.eachOfThem(async (participant) => {
      await nodes.commit(participant, commitMs);
      this.tell('Resuming');
      await nodes.ask(participant, 'resume', resumeMs);
    });
    this.tell('Resuming');
    const trouble: unknown = ends.find((end) => end.status === 'rejected')?.reason;
    if ([...nodes.states.values()].some(isCommitted)) return this.outcome({ kind: 'restored', trouble });
    // Refused, or an answer is lost that would tell.
    return await this.again(trouble, trouble);
  }

  /** After a refusal that says nothing of the outcome: terms are taken anew where this very process took others since. */
  private async again(failure: unknown, trouble: unknown): Promise<RestoreOutcome> {
    const isLost = hasCode(trouble, 'agent.stale-term') && !(await this.nodes.isStillOurs());
    if (isLost) return this.outcome({ kind: 'taken-over', failure });
    this.rounds += 1;
    return this.rounds > MOST_ROUNDS
      ? this.outcome({ kind: 'unknown', failure })
      : await this.conclude(failure);
  }

  private async giveUp(failure: unknown): Promise<RestoreOutcome> {
    // Neither this coordinator nor one before it has asked any node for anything.
    if (!this.begun && !this.nodes.isKnown) return this.outcome({ kind: 'rolled-back', failure });
    const isLost = hasCode(failure, 'agent.stale-term') && !(await this.nodes.isStillOurs());
    if (isLost) return this.outcome({ kind: 'taken-over', failure });
    return this.nodes.nobodyCommitted ? await this.goBack(failure) : await this.conclude(failure);
  }

  /** Only where it is certain that nobody has committed: with whoever answers. */
  private async goBack(failure: unknown): Promise<RestoreOutcome> {
    const { nodes } = this;
    this.tell('RollingBack');
    const ends = await nodes.eachOfThem((participant) =>
      nodes.rollBack(participant, this.budgets.rollBackMs, failure),
    );
    this.tell('RollingBack');
    const trouble: unknown = ends.find((end) => end.status === 'rejected')?.reason;
    if (trouble === undefined) return this.outcome({ kind: 'rolled-back', failure });
    if (hasCode(trouble, 'restore.committed')) return this.outcome({ kind: 'unknown', failure: trouble });
    if (hasCode(trouble, 'agent.stale-term')) return await this.again(failure, trouble);
    return this.outcome({ kind: 'going-back', failure, trouble });
  }

  private async all(
    step: CoordinatorProgress['step'],
    name: 'quiesce' | 'swap' | 'startEtcd' | 'verify',
    budgetMs: number,
  ): Promise<void> {
    this.tell(step);
    const ends = await this.nodes.eachOfThem((participant) => this.nodes.led(participant, name, budgetMs));
    this.tell(step);
    // All have ended before the first failure is told: nobody is in the middle of a step when the next one comes.
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** All told how far they are, and none of them knows of a member that isn't among them. */
  private isEverybody(seen: readonly SeenNode[]): boolean {
    const known = new Set(seen.map(({ node }) => node));
    const members = seen.flatMap(({ state }) => state?.members ?? []);
    const told = seen.filter(({ state }) => state !== undefined);
    return told.length === this.nodes.names.length && members.every(({ node }) => known.has(node));
  }

  /** It didn't get anywhere: another restore was quicker, to whom the nodes belong now. */
  private isUnknownToAll(seen: readonly SeenNode[]): boolean {
    return (
      this.nodes.nobodyBegan &&
      seen.length === this.nodes.names.length &&
      seen.every(({ state }) => state === undefined)
    );
  }

  /** By what a survey has seen. */
  private notKnown(seen: readonly SeenNode[], failure: unknown): GuardianError {
    const answered = new Set(seen.map(({ node }) => node));
    const silent = this.nodes.names.filter((node) => !answered.has(node));
    const blank = seen.flatMap(({ node, state }) => (state === undefined ? [node] : []));
    return outcomeNotKnown(this.operation, { silent, blank }, failure);
  }

  private tell(step: CoordinatorProgress['step'], update?: CoordinatorProgress['update']): void {
    const { term, states } = this.nodes;
    this.tools.onStep({ step, term, states: new Map(states), update });
  }

  private outcome<K extends object>(
    kind: K,
  ): K & { term: bigint; states: ReadonlyMap<string, RestoreState> } {
    const { term, states } = this.nodes;
    return { ...kind, term, states: new Map(states) };
  }
}
