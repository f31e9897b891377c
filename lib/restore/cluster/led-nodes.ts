import type { Fence, Problem } from '../../agent-api/request-parts.ts';
import type { RestoreState } from '../../agent-api/restore-messages.ts';
import type { TaskUpdate } from '../../agent-api/task-messages.ts';
import { GuardianError, hasCode, reasonOf } from '../../guardian-error.ts';
import { commonTerm, type TakenTerms } from './common-term.ts';
import { insist, isAway } from './insist.ts';
import { hasGoneOn, isCommitted } from './next-move.ts';
import type { NodeView, Participant, StageCall, StageOrder, StepName } from './participant.ts';
import { agentAway } from './plan-members.ts';
import { fateOf, restoreStateName } from './restore-states.ts';
import { otherUnderWay } from './restore-under-way.ts';
import { realWaiting, type Waiting } from './waiting.ts';

export interface LedNodesTools {
  /** Who leads, for the agents' messages; tells a later leader whom it follows. */
  readonly holder: string;
  /** Whether a term's holder is this very process at other work, which must not stop the restore. */
  readonly isOurs: (holder: string) => boolean;
  readonly waiting?: Waiting | undefined;
}

/** What a node told after its term was taken; undefined: it knows of no such restore. */
export interface SeenNode {
  readonly node: string;
  readonly state: RestoreState | undefined;
}

const EVERY_MS = 500;
const MOST_RETAKEN = 5;
/** So often in its time a node hears that it is led. */
const HOLDS = 6;
/** What is seen under none is only certain where it is final. */
const NO_TERM = -1n;

/** The nodes that a coordinator leads, the term that it holds there, and what it has seen of them under this term. */
export class LedNodes {
  readonly states = new Map<string, RestoreState>();
  private readonly operation: string;
  private readonly participants: readonly Participant[];
  private readonly tools: LedNodesTools;
  private readonly awayMs: number;
  /** Once something is stopped, only an end stops this. */
  private readonly never = new AbortController().signal;
  private readonly voted = new Set<string>();
  private held = 0n;
  private retaking: Promise<void> | undefined;
  private known = false;
  private begins = false;
  private openSeen = false;
  private unknownSeen = false;
  private abortedSeen = false;
  private commits = false;

  constructor(operation: string, participants: readonly Participant[], tools: LedNodesTools, awayMs: number) {
    this.operation = operation;
    this.participants = participants;
    this.tools = tools;
    this.awayMs = awayMs;
  }

  get term(): bigint {
    return this.held;
  }

  get fence(): Fence {
    return { operation: this.operation, term: this.held };
  }

  get names(): readonly string[] {
    return this.participants.map(({ node }) => node);
  }

  /**
   * Nobody has committed, nor will: a node has aborted; or one was seen under this term that hadn't voted, which nobody
   * with a lower term can make it do any more, and none was told to commit by us. One that knows of no such restore hadn't
   * either, if all were looked around before, and nobody had gone on since it staged. Else it may have lost its journal,
   * which may have said anything.
   */
  get nobodyCommitted(): boolean {
    const isNew = this.begins && ![...this.states.values()].some(hasGoneOn);
    const isOpen = this.openSeen || (this.unknownSeen && isNew);
    return this.abortedSeen || (isOpen && !this.commits);
  }

  /** All were looked around before, nobody knew of it, and nobody was seen to since. */
  get nobodyBegan(): boolean {
    return this.begins && !this.known && this.states.size === 0;
  }

  /** All said yes under this one term, and none has given up since. */
  get allVoted(): boolean {
    return this.participants.every(({ node }) => this.voted.has(node));
  }

  notVoted(): GuardianError {
    const missing = this.participants.flatMap(({ node }) => (this.voted.has(node) ? [] : [node]));
    return new GuardianError('restore.given-up', `${missing.join(', ')} gave the restore up meanwhile`, {
      hint: 'The steps took longer than their deadlines. Look at the logs of the agents, then restore again.',
    });
  }

  /**
   * What can be seen before anyone's term is touched: whether any node knows of this restore. Rejects with `restore.busy`
   * where another one is under way, and with `restore.agent-away` for a node that isn't reached for `forMs`; `isKnown`
   * tells then what the others told.
   */
  async lookAround(forMs: number, signal: AbortSignal): Promise<void> {
    const views = await Promise.allSettled(
      this.participants.map((participant) => this.bear(() => participant.look(signal), signal, forMs)),
    );
    const restores = views.map((end) => (end.status === 'fulfilled' ? end.value.restores : []));
    const own = restores.flat().filter(({ operation }) => operation === this.operation);
    this.known = own.length > 0;
    const isToldByAll = views.every((end) => end.status === 'fulfilled');
    this.begins = (this.known || isToldByAll) && !own.some((state) => hasGoneOn(state) || isCommitted(state));
    for (const [at, { node }] of this.participants.entries()) {
      const other = otherUnderWay(node, restores[at] ?? [], this.operation);
      if (other !== undefined) throw other;
    }
    for (const [at, { node }] of this.participants.entries()) {
      const end = views[at];
      if (end?.status !== 'rejected') continue;
      const error: unknown = end.reason;
      throw isAway(error) ? agentAway(node, error) : error;
    }
  }

  /** Whether a node knew of this restore when it was looked around. */
  get isKnown(): boolean {
    return this.known;
  }

  /** The same term everywhere, above all that were taken. */
  async takeTerms(signal: AbortSignal): Promise<void> {
    const taken = await this.terms(this.awayMs, signal);
    const failed = taken.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Takes terms from all, and asks those who gave one; whoever is away for longer than `forMs` is left out. */
  async surveyed(forMs: number): Promise<SeenNode[]> {
    const taken = await this.terms(forMs, this.never);
    const { held } = this;
    const seen = await Promise.allSettled(
      this.participants.map(async (participant, at): Promise<SeenNode> => {
        const end = taken[at];
        // Where another restore is under way, this one is over or never was: that is told without a term, too.
        const isFree = end?.status === 'fulfilled';
        if (!isFree && !hasCode(end?.reason, 'restore.busy')) throw new Error('it is away');
        const { node } = participant;
        const state = await this.bear(
          () => participant.status(this.operation, this.never),
          this.never,
          forMs,
        );
        if (state !== undefined) this.note(node, state, isFree ? held : NO_TERM);
        else this.unknownSeen ||= isFree && held === this.held;
        return { node, state };
      }),
    );
    return seen.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  }

  /** The first that fails ends it for all, and is what this rejects with; what goes on at the others then is left to a way back. */
  async stageAll(
    order: StageOrder,
    times: Pick<StageCall, 'budgetMs' | 'holdMs'>,
    signal: AbortSignal,
    onUpdate: (update: { readonly node: string; readonly update: TaskUpdate }) => void,
  ): Promise<void> {
    const ending = new AbortController();
    const until = AbortSignal.any([signal, ending.signal]);
    let first: { readonly error: unknown } | undefined;
    const ends = await this.eachOfThem(async (participant) => {
      const { node } = participant;
      const tell = (update: TaskUpdate): void => {
        onUpdate({ node, update });
      };
      const end = await this.leading(participant, until, (fence) =>
        participant.stage(order, { fence, ...times }, tell, until),
      ).catch((error: unknown) => {
        first ??= { error };
        ending.abort(error);
        return undefined;
      });
      const { held } = this;
      const status = () => participant.status(this.operation, this.never);
      // Also of one that failed: it tells that nobody has committed.
      const state =
        end === undefined ? await status().catch(() => undefined) : await this.bear(status, this.never);
      if (state !== undefined) this.note(node, state, held);
    });
    const failed = first ?? ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw 'error' in failed ? failed.error : failed.reason;
  }

  /**
   * From now on, until what comes back is called: tells the nodes again and again that what they stage is led, else they
   * let go of it after `budgetMs`. Who doesn't answer, hasn't begun, or is of a version without it, is no trouble.
   */
  hold(budgetMs: number): () => void {
    const ending = new AbortController();
    const { signal } = ending;
    const { waiting = realWaiting } = this.tools;
    const holdOne = async (participant: Participant): Promise<void> => {
      while (!signal.aborted) {
        const failure: unknown = await participant.step('hold', { fence: this.fence, budgetMs }, signal).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (hasCode(failure, 'agent.unsupported')) return;
        await waiting.pause(failure === undefined ? budgetMs / HOLDS : EVERY_MS, signal);
      }
    };
    for (const participant of this.participants) void holdOne(participant);
    return () => {
      ending.abort();
    };
  }

  /** A step before the commit, also with a term taken anew where this very process took another for other work. */
  async led(participant: Participant, name: StepName, budgetMs: number): Promise<void> {
    let { held } = this;
    const state = await this.leading(participant, this.never, (fence) => {
      ({ held } = this);
      return participant.step(name, { fence, budgetMs }, this.never);
    });
    this.note(participant.node, state, held);
  }

  async commit(participant: Participant, budgetMs: number): Promise<void> {
    this.commits = true;
    await this.ask(participant, 'commit', budgetMs);
  }

  /** A step under the very term that is held. */
  async ask(participant: Participant, name: StepName, budgetMs: number, reason?: Problem): Promise<void> {
    const { held, fence } = this;
    const step = () => participant.step(name, { fence, budgetMs, reason }, this.never);
    this.note(participant.node, await this.bear(step, this.never), held);
  }

  async rollBack(participant: Participant, budgetMs: number, failure: unknown): Promise<void> {
    try {
      await this.ask(participant, 'rollBack', budgetMs, problemOf(failure));
    } catch (error) {
      // It never got there, or is over there, as another one is under way: there is nothing to put back.
      if (!hasCode(error, 'restore.unknown') && !hasCode(error, 'restore.busy')) throw error;
    }
  }

  /** Whether nobody took terms since to lead this restore, as far as the nodes that answer tell. */
  async isStillOurs(): Promise<boolean> {
    const views = await Promise.allSettled(
      this.participants.map((participant) => participant.look(this.never)),
    );
    return views.every((end) => end.status === 'rejected' || this.isNotLed(end.value));
  }

  async eachOfThem(
    work: (participant: Participant) => Promise<void>,
  ): Promise<readonly PromiseSettledResult<void>[]> {
    return await Promise.allSettled(this.participants.map(work));
  }

  private note(node: string, state: RestoreState, held: bigint): void {
    this.states.set(node, state);
    const name = restoreStateName(state.state);
    if (name === undefined) return;
    const fate = fateOf(name, state.committedMs);
    if (fate === 'aborted') this.abortedSeen = true;
    if (held !== this.held) return;
    // A verification that an earlier coordinator asked for may be on its way to a vote.
    if (fate === 'open' && name !== 'Verifying') this.openSeen = true;
    if ((fate === 'voted' && !state.givenUp) || isCommitted(state)) this.voted.add(node);
    else this.voted.delete(node);
  }

  private async terms(forMs: number, signal: AbortSignal): Promise<TakenTerms> {
    const { operation, tools } = this;
    const { holder } = tools;
    const { term, taken } = await commonTerm(
      (atLeast) =>
        Promise.allSettled(
          this.participants.map((participant) =>
            this.bear(() => participant.takeTerm({ holder, atLeast, operation }, signal), signal, forMs),
          ),
        ),
      this.held + 1n,
    );
    // What was seen under another term may have changed before this one was taken.
    this.voted.clear();
    this.openSeen = false;
    this.unknownSeen = false;
    this.held = term;
    return taken;
  }

  private async leading<T>(
    participant: Participant,
    signal: AbortSignal,
    work: (fence: { readonly operation: string; readonly term: bigint }) => Promise<T>,
  ): Promise<T> {
    const { operation } = this;
    for (let attempt = 1; ; attempt++) {
      const { held } = this;
      try {
        return await this.bear(() => work({ operation, term: held }), signal);
      } catch (error) {
        if (!hasCode(error, 'agent.stale-term') || attempt > MOST_RETAKEN) throw error;
        if (held === this.held) {
          if (!this.isNotLed(await participant.look(signal))) throw error;
        }
        if (held === this.held) await this.takenAnew(signal);
      }
    }
  }

  /**
   * Whoever holds the term there has it for other work, or is this very process. An agent gives terms for other work as
   * long as this restore hasn't begun there, so that one leads nothing of it: the term is taken anew.
   */
  private isNotLed({ termHolder, termOperation }: NodeView): boolean {
    if (termOperation !== '' && termOperation !== this.operation) return true;
    return termHolder === this.tools.holder || this.tools.isOurs(termHolder);
  }

  /** Once for all who find their term stale at the same time. */
  private async takenAnew(signal: AbortSignal): Promise<void> {
    this.retaking ??= this.takeTerms(signal).finally(() => {
      this.retaking = undefined;
    });
    await this.retaking;
  }

  private async bear<T>(call: () => Promise<T>, signal: AbortSignal, forMs = this.awayMs): Promise<T> {
    const { waiting } = this.tools;
    return await insist(call, { forMs, everyMs: EVERY_MS, signal, waiting });
  }
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof GuardianError))
    return { code: 'restore.failed', message: reasonOf(error), hint: '', retryable: false };
  const { code, message, hint = '', retryable } = error;
  return { code, message, hint, retryable };
}
