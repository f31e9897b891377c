import type { RestoreState, SettleRequest } from '../../../lib/agent-api/restore-messages.ts';
import { GuardianError } from '../../../lib/guardian-error.ts';
import {
  type Budgets,
  commitVerified,
  concludeRestore,
  coordinateRestore,
  type CoordinatorTools,
  releaseStaged,
  type RestoreOutcome,
} from '../../../lib/restore/cluster/coordinate-restore.ts';
import { commonTerm } from '../../../lib/restore/cluster/common-term.ts';
import { type moveByPeers, peerAnswer } from '../../../lib/restore/cluster/decide-alone.ts';
import type { JournalEntry } from '../../../lib/restore/cluster/journal.ts';
import { nextMove } from '../../../lib/restore/cluster/next-move.ts';
import type { Participant } from '../../../lib/restore/cluster/participant.ts';
import type { SeededRandom } from '../../../test/harness/seeded-random.ts';
import { Invariants } from './invariants.fixture.ts';
import { type SimulatedAgent, simulatedAgent } from './simulated-agent.fixture.ts';
import { hungUp, SimulatedNetwork } from './simulated-network.fixture.ts';
import {
  comesUp,
  loseUnsynced,
  OPERATION,
  RIVAL,
  type SimulatedNode,
  simulatedNode,
} from './simulated-node.fixture.ts';
import { VirtualProcess, VirtualTime } from './virtual-time.fixture.ts';

/** Another rule or a worse disk than the real one, which the invariants must find. */
export interface Mutation {
  readonly decide?: typeof moveByPeers | undefined;
  readonly unsynced?: ((entry: JournalEntry) => boolean) | undefined;
}

const BUDGETS: Budgets = {
  ...{ stageMs: 60_000, holdMs: 20_000, quiesceMs: 15_000, swapMs: 5_000, startMs: 20_000, verifyMs: 20_000 },
  ...{ commitMs: 5_000, resumeMs: 10_000, rollBackMs: 30_000 },
};
const ANSWER_MS = 3_000;
const SETTLED_WITHIN_MS = 600_000;

/** Nodes with agents, and coordinators that come and go. Everything that happens follows from the random numbers. */
export class SimulatedCluster {
  readonly time = new VirtualTime();
  readonly nodes: readonly SimulatedNode[];
  readonly network: SimulatedNetwork;
  readonly random: SeededRandom;
  readonly invariants: Invariants;
  readonly outcomes: RestoreOutcome[] = [];
  readonly rivals: RestoreOutcome[] = [];
  readonly coordinators: { readonly name: string; readonly process: VirtualProcess }[] = [];
  /** Told what each coordinator sees, at the moment when it does. */
  onStep: CoordinatorTools['onStep'] = () => undefined;
  /** How long hooks take. */
  hooksMs: readonly [least: number, most: number] = [1, 500];
  /** Of each change on a node: whether its agent is killed right then. */
  killsAtChange = 0;
  /** Of each vote and commit: whether something happens right then. */
  troubleAtVotes = 0;
  private readonly agents = new Map<string, SimulatedAgent>();
  private readonly mutation: Mutation;
  private started = 0;

  constructor(random: SeededRandom, count: number, mutation: Mutation) {
    this.random = random;
    this.mutation = mutation;
    this.nodes = Array.from({ length: count }, (_, at) => simulatedNode(`n${at + 1}`));
    this.network = new SimulatedNetwork(this.time, random, { loss: 0, repeats: 0, slowestMs: 20 });
    this.invariants = new Invariants(this.nodes, this.time);
    for (const node of this.nodes) this.startAgent(node);
  }

  startAgent(node: SimulatedNode): void {
    if (node.process?.isAlive === true) return;
    const process = new VirtualProcess(node.name, this.time);
    node.process = process;
    const { random } = this;
    const agent = simulatedAgent(
      {
        ...{ node, process, random, unsynced: this.mutation.unsynced },
        onChange: () => {
          this.invariants.check();
          if (random.next() < this.killsAtChange) this.killAgent(node);
          this.troubleVotes(node);
        },
        hasQuorum: (data) => this.hasQuorum(data),
      },
      {
        members: this.members(),
        decide: this.mutation.decide,
        nowMs: () => this.time.nowMs,
        peers: {
          ask: ({ operation }) =>
            Promise.all(
              this.nodes
                .filter((peer) => peer !== node)
                .map((peer) =>
                  this.network
                    .call(process, node.name, peer, () => this.agent(peer).status(operation), ANSWER_MS)
                    .then(
                      (state) => peerAnswer(peer.name, state),
                      () => peerAnswer(peer.name, undefined),
                    ),
                ),
            ),
        },
      },
    );
    this.agents.set(node.name, agent);
  }

  /** It comes back soon, or late. */
  killAgent(
    node: SimulatedNode,
    afterMs = this.random.integer(50, this.random.pick([500, 5_000, 300_000])),
  ): void {
    node.process?.kill();
    this.time.after(afterMs, () => {
      this.startAgent(node);
    });
  }

  /** Agent, etcd and API server go together; a kubelet starts those whose manifests lie there. */
  cutPower(node: SimulatedNode, afterMs?: number): void {
    this.killAgent(node, afterMs);
    loseUnsynced(node);
    node.etcd.isRunning = false;
    node.apiServer.isRunning = false;
    this.time.after(this.random.integer(1_000, 60_000), () => {
      this.runPods(node);
    });
  }

  runPods(node: SimulatedNode): void {
    node.etcd.isRunning = node.etcd.isWanted && comesUp(node);
    node.apiServer.isRunning = node.apiServer.isWanted;
    this.invariants.check();
  }

  /** One that looks around first, as a control plane does; or believes to be the first. */
  startCoordinator(looksAround: boolean): void {
    const { participants, tools } = this.newCoordinator();
    void this.lead(participants, tools, looksAround).then((outcome) => {
      if (outcome !== undefined) this.outcomes.push(outcome);
    });
  }

  /** One that wants another restore of the same nodes; should it be let in, it gives up before it stops anything. */
  startRival(): void {
    const { participants, tools } = this.newCoordinator();
    const beforeQuiesce = (): Promise<void> => Promise.reject(new Error('a hook failed'));
    const order = { operation: RIVAL, stage: {} };
    void coordinateRestore(order, participants, { ...tools, beforeQuiesce }).then((outcome) => {
      this.rivals.push(outcome);
    });
  }

  /** By a coordinator that doesn't lead it on. */
  async release(failure: unknown): Promise<void> {
    const { participants, tools } = this.newCoordinator();
    await releaseStaged({ operation: OPERATION }, participants, tools, failure);
  }

  /** By a coordinator that only brings it to its end. */
  async conclude(failure: GuardianError): Promise<RestoreOutcome> {
    const { participants, tools } = this.newCoordinator();
    return await concludeRestore({ operation: OPERATION }, participants, tools, failure);
  }

  /** By a person, on all nodes that answer, as the command does; resolves to what those told that did. */
  async settle(decision: Partial<SettleRequest>): Promise<readonly PromiseSettledResult<RestoreState>[]> {
    const { name, process, participants, tools } = this.newCoordinator('p');
    if (decision.commit === true && (decision.withoutNodes ?? []).length === 0)
      await commitVerified({ operation: OPERATION }, participants, tools);
    const all = <T>(
      nodes: readonly SimulatedNode[],
      ms: number,
      work: (agent: SimulatedAgent) => Promise<T>,
    ) =>
      Promise.allSettled(
        nodes.map((node) => this.network.call(process, name, node, () => work(this.agent(node)), ms)),
      );
    const { term, taken } = await commonTerm((atLeast) => {
      const wish = { holder: name, atLeast, operation: OPERATION };
      return all(this.nodes, ANSWER_MS, (agent) => agent.takeTerm(wish));
    }, 1n);
    const answering = this.nodes.filter((_, at) => taken[at]?.status === 'fulfilled');
    const fence = { operation: OPERATION, term };
    const said = { commit: false, withoutNodes: [], by: name, notServing: false, ...decision, fence };
    return await all(answering, SETTLED_WITHIN_MS, (agent) => agent.settle(said));
  }

  /** The same process takes terms for other work. */
  async takeForBackups(coordinator: string, node: SimulatedNode): Promise<void> {
    const process = new VirtualProcess(`backups/${coordinator}`, this.time);
    const wish = { holder: `backups/${coordinator}`, atLeast: 0n, operation: 'backups' };
    const take = () => this.agent(node).takeTerm(wish);
    await this.network.call(process, coordinator, node, take, ANSWER_MS).catch(() => undefined);
  }

  get isOver(): boolean {
    return this.nodes.every(({ disk, process, etcd, apiServer }) => {
      const states = [...disk.journals.values()].map(({ state }) => state);
      const over = states.every((state) => ['Resumed', 'RolledBack', 'Failed'].includes(state));
      return over && process?.isAlive === true && etcd.isRunning && apiServer.isRunning;
    });
  }

  /** Around the vote and the commit lies what can go wrong for good. */
  private troubleVotes(node: SimulatedNode): void {
    const { random, time, network } = this;
    const { state = '' } = node.disk.journals.get(OPERATION) ?? {};
    if (!['Verified', 'Committed'].includes(state) || random.next() >= this.troubleAtVotes) return;
    const coordinator = random.pick(this.coordinators);
    const happens = random.pick([
      () => {
        this.killAgent(node);
      },
      () => {
        this.cutPower(node);
      },
      () => {
        coordinator.process.kill();
      },
      () => {
        const others = [...this.coordinators, ...this.nodes.filter((other) => other !== node)];
        const away = random.pick([others, this.coordinators, [random.pick(others)]]);
        const forMs = random.integer(1, random.pick([5_000, 60_000, 400_000]));
        for (const { name } of away) network.part(node.name, name);
        time.after(forMs, () => {
          for (const { name } of away) network.heal(node.name, name);
        });
      },
      () => {
        this.suspend(coordinator.name);
      },
      () => {
        node.clockMs += random.integer(0, 3_600_000);
        this.killAgent(node);
      },
    ]);
    time.after(random.integer(0, random.pick([2, 50, 5_000])), happens);
  }

  /** Nobody hears of it until about when the nodes give up, one sooner, one later. */
  private suspend(coordinator: string): void {
    const { random, time, network } = this;
    const untilMs = BUDGETS.verifyMs + random.integer(-3_000, 3_000);
    for (const { name } of this.nodes) {
      network.part(coordinator, name);
      time.after(untilMs + random.integer(0, 2_000), () => {
        network.heal(coordinator, name);
      });
    }
  }

  /** Over, and begun once. */
  get isSettled(): boolean {
    return (
      this.outcomes.length > 0 && this.isOver && this.nodes.some(({ disk }) => disk.journals.has(OPERATION))
    );
  }

  private newCoordinator(letter: 'c' | 'p' = 'c'): {
    name: string;
    process: VirtualProcess;
    participants: readonly Participant[];
    tools: CoordinatorTools;
  } {
    const name = `${letter}${++this.started}`;
    const process = new VirtualProcess(name, this.time);
    if (letter === 'c') this.coordinators.push({ name, process });
    return {
      ...{ name, process },
      participants: this.nodes.map((node) => this.participant(node, name, process)),
      tools: {
        holder: `restore/${name}`,
        isOurs: (holder) => holder === `backups/${name}`,
        onStep: (progress) => {
          this.onStep(progress);
        },
        beforeQuiesce: () => process.pause(this.random.integer(...this.hooksMs)),
        ...{ budgets: BUDGETS, signal: new AbortController().signal, waiting: process.waiting },
      },
    };
  }

  private async lead(
    participants: readonly Participant[],
    tools: CoordinatorTools,
    looksAround: boolean,
  ): Promise<RestoreOutcome | undefined> {
    const seen = await Promise.allSettled(
      participants.map((participant) => participant.status(OPERATION, tools.signal)),
    );
    const states = seen.flatMap((end) =>
      end.status === 'fulfilled' && end.value !== undefined ? [end.value] : [],
    );
    const move = looksAround ? nextMove(states) : 'begin';
    const order = { operation: OPERATION, stage: {} };
    if (move === 'begin') return await coordinateRestore(order, participants, tools);
    if (move === 'over') return undefined;
    const failure = new GuardianError('restore.interrupted', 'nobody led it');
    return await concludeRestore(order, participants, tools, failure);
  }

  private participant(node: SimulatedNode, from: string, process: VirtualProcess): Participant {
    const call = <T>(work: (agent: SimulatedAgent) => Promise<T>, ms = ANSWER_MS): Promise<T> =>
      this.network.call(process, from, node, () => work(this.agent(node)), ms);
    const deadline = (budgetMs: number): number => Math.round(this.time.nowMs + budgetMs);
    return {
      node: node.name,
      takeTerm: (wish) => call((agent) => agent.takeTerm(wish)),
      look: () => call((agent) => Promise.resolve(agent.look())),
      async stage(_order, { fence, budgetMs, holdMs = budgetMs }, _onUpdate, signal) {
        const at = deadline(Math.min(budgetMs, holdMs));
        await Promise.race([call((agent) => agent.stage(fence, at), budgetMs), hungUp(signal)]);
        return { hashKv: 1, clusterId: 1n, memberId: 1n, revision: 2n, keys: 1 };
      },
      step(name, { fence, budgetMs, reason }): Promise<RestoreState> {
        const at = deadline(budgetMs);
        return call((agent) => agent.step(name, fence, at, reason ?? undefined), budgetMs + ANSWER_MS);
      },
      status: (operation) => call((agent) => agent.status(operation)),
    };
  }

  private agent({ name }: SimulatedNode): SimulatedAgent {
    const found = this.agents.get(name);
    if (found === undefined) throw new Error(`no agent ${name}`);
    return found;
  }

  private hasQuorum(data: 'old' | 'new' | 'none'): boolean {
    const running = this.nodes.filter(({ etcd, disk }) => etcd.isRunning && disk.member === data);
    return running.length * 2 > this.nodes.length;
  }

  private members(): JournalEntry['plan']['members'] {
    return this.nodes.map(({ name }) => ({ node: name, name, peerUrls: [], agentAddress: name }));
  }
}
