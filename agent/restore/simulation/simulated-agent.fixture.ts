import type { AgentCall } from '../../../lib/agent-api/agent-server.ts';
import type { Fence, Problem } from '../../../lib/agent-api/request-parts.ts';
import type { RestoreState, SettleRequest } from '../../../lib/agent-api/restore-messages.ts';
import { GuardianError } from '../../../lib/guardian-error.ts';
import { LogLines } from '../../../lib/log-lines.ts';
import type { moveByPeers } from '../../../lib/restore/cluster/decide-alone.ts';
import type { JournalEntry } from '../../../lib/restore/cluster/journal.ts';
import type { NodeView, StepName, TermWish } from '../../../lib/restore/cluster/participant.ts';
import { stageOf } from '../../../lib/restore/cluster/restore-states.ts';
import type { Peers } from '../peers.ts';
import { restoreStateMessage } from '../restore-state-message.ts';
import { watchRestores } from '../restore-watchdog.ts';
import { settle } from '../settle.ts';
import { stepHandlers, Steps } from '../steps.ts';
import {
  type NodeScene,
  simulatedData,
  simulatedJournal,
  simulatedServices,
  simulatedTerms,
} from './simulated-node.fixture.ts';

/** The agent of a node as others call it: the real steps, journal's order and watchdog, with all they act on simulated. */
export interface SimulatedAgent {
  takeTerm(wish: TermWish): Promise<bigint>;
  look(): NodeView;
  stage(fence: Fence, deadlineMs: number): Promise<void>;
  step(name: StepName, fence: Fence, deadlineMs: number, reason?: Problem): Promise<RestoreState>;
  status(operation: string): Promise<RestoreState | undefined>;
  settle(request: SettleRequest): Promise<RestoreState>;
}

export interface SimulatedAgentOptions {
  readonly members: JournalEntry['plan']['members'];
  readonly peers: Peers;
  readonly decide?: typeof moveByPeers | undefined;
  readonly nowMs: () => number;
}

const SILENT = new LogLines({ write: () => undefined }, () => new Date(0), 'text');
const CALL = {} as AgentCall;
const WEEK_MS = 7 * 86_400_000;

export function simulatedAgent(scene: NodeScene, options: SimulatedAgentOptions): SimulatedAgent {
  const { node, process, random } = scene;
  const { signal } = new AbortController();
  const clock = (): Date => new Date(Math.round(options.nowMs() + node.clockMs));
  const journal = simulatedJournal(scene);
  const terms = simulatedTerms(scene);
  terms.reserve(() => journal.list().find(({ state }) => stageOf(state) !== 'over')?.operation);
  const services = simulatedServices(scene);
  const steps = new Steps({
    ...{ journal, terms, clock, signal, log: SILENT, nowMs: options.nowMs },
    ...{ services: () => services, data: simulatedData(scene) },
  });
  let staging: { cancelled: boolean; readonly ended: Promise<void> } | undefined;
  const watch = watchRestores({
    ...{ journal, steps, peers: options.peers, clock, waiting: process.waiting, log: SILENT, signal },
    ...{ everyMs: 1_000, keepPreviousMs: WEEK_MS, decide: options.decide },
    isStaging: () => staging !== undefined,
    endStaging: () => cancel(),
  });
  const cancel = async (): Promise<void> => {
    if (staging === undefined) return;
    staging.cancelled = true;
    await staging.ended;
  };
  const handlers = stepHandlers(terms, steps, cancel, watch.askAtOnce);

  const begun = async (fence: Fence, deadlineMs: number): Promise<JournalEntry> => {
    const { operation, term } = fence;
    const before = journal.find(operation);
    if (before !== undefined && stageOf(before.state) !== 'before' && before.state !== 'Failed')
      throw new GuardianError('restore.order', `it is ${before.state} already`);
    const entry =
      before !== undefined && before.state !== 'Failed'
        ? { ...before, term, deadlineMs }
        : firstEntry(operation, term, deadlineMs, options.members);
    await process.pause(random.integer(1, 500));
    await terms.admitted(fence, () => journal.write(entry));
    return entry;
  };
  const stagingOf = async ({ operation }: JournalEntry): Promise<void> => {
    const note = (change: Partial<JournalEntry>): Promise<JournalEntry> =>
      steps.inTurn(async () => {
        const now = journal.find(operation);
        if (now?.state !== 'Staging') throw new Error('staged, and then not');
        await journal.write({ ...now, ...change });
        return now;
      });
    for (let part = 0; part < 5; part++) {
      await process.pause(random.integer(1, 2_000));
      if (staging?.cancelled === true || node.isFull) {
        node.disk.staged.delete(operation);
        await note({ state: 'Failed' });
        throw new GuardianError('restore.cancelled', 'given up while it was staged');
      }
    }
    node.disk.staged.add(operation);
    const member = options.members.findIndex((one) => one.node === node.name);
    const staged = { hashKv: 1, clusterId: 1n, memberId: BigInt(member), revision: 2n, keys: 1 };
    await note({ state: 'Staged', furthest: 'Staged', staged });
  };
  return {
    async takeTerm({ holder, atLeast, operation }) {
      return (await terms.take(holder, atLeast, operation)).term;
    },
    look: () => ({
      ...{ termHolder: terms.holder, termOperation: terms.operation },
      restores: journal.list().map((entry) => restoreStateMessage(entry) as RestoreState),
    }),
    async stage(fence, deadlineMs) {
      await terms.admit(fence);
      const entry = await steps.inTurn(() => begun(fence, deadlineMs));
      if (entry.state === 'Staged') return;
      if (staging === undefined) {
        const { promise, resolve } = Promise.withResolvers<undefined>();
        staging = { cancelled: false, ended: promise.then(() => undefined) };
        await stagingOf(entry).finally(() => {
          staging = undefined;
          resolve(undefined);
        });
      } else {
        await staging.ended;
        if (journal.find(fence.operation)?.state !== 'Staged')
          throw new GuardianError('restore.failed', 'not staged');
      }
    },
    async step(name, fence, deadlineMs, reason) {
      const state = await handlers[name]?.({ fence, deadlineMs, reason }, CALL);
      return state as RestoreState;
    },
    async settle(request) {
      const { peers } = options;
      const tools = { journal, steps, peers, terms, clock, log: SILENT, signal, endStaging: cancel };
      return restoreStateMessage(await settle(request, tools)) as RestoreState;
    },
    async status(operation) {
      const entry = await steps.state(operation);
      return entry === undefined ? undefined : (restoreStateMessage(entry) as RestoreState);
    },
  };
}

function firstEntry(
  operation: string,
  term: bigint,
  deadlineMs: number,
  members: JournalEntry['plan']['members'],
): JournalEntry {
  return {
    ...{ format: 1, operation, term, state: 'Staging', furthest: 'Staging', sinceMs: 0, message: '' },
    ...{ subject: '', deadlineMs },
    plan: {
      ...{ cluster: 'c', timeline: 't', chain: 'x', revision: 1n, token: 't', bumpTo: 2n, quiesce: true },
      members: [...members],
    },
    etcd: {
      ...{ runsAs: 'STATIC_POD', runsFrom: '/m/etcd.yaml', name: '', dataDir: '/d', walDir: '' },
      ...{ endpoints: [], apiServers: ['/m/api.yaml'] },
    },
  };
}
