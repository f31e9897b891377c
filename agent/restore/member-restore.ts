import type { Clock } from '../../lib/clock.ts';
import type { Problem } from '../../lib/agent-api/request-parts.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { hasReached, stageOf } from '../../lib/restore/cluster/restore-states.ts';
import {
  removeRestoreDirs,
  type RestoreDirs,
  restoreDirs,
  swapBack,
  swapIn,
} from '../../lib/restore/cluster/swap-dirs.ts';
import { problemOf } from '../errors-on-wire.ts';
import { untilServing, verifyMember } from './member-etcd.ts';
import { type Deadline, deadlineIn } from './node-service.ts';
import type { NodeServices } from './node-services.ts';

export interface MemberRestoreTools {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly services: (entry: JournalEntry) => NodeServices;
  readonly signal: AbortSignal;
}

/** At least so long is tried, also by a call that comes when its deadline has all but passed. */
const SHORTEST_MS = 5_000;
/** For the way back, which has to come to an end. */
const WAY_BACK_MS = 180_000;

/**
 * The steps of one node, one after the other, each with its intent on disk before it is done: after a crash at any point
 * the same step may be asked for again. Rejects with `restore.order` where a step doesn't follow, `restore.committed`, and
 * what goes wrong in it, which is in the journal then, too.
 */
export class MemberRestore {
  private readonly operation: string;
  private readonly tools: MemberRestoreTools;

  constructor(operation: string, tools: MemberRestoreTools) {
    this.operation = operation;
    this.tools = tools;
  }

  /** Stops the API servers of this node and its etcd, and sees them stopped. */
  async quiesce(): Promise<JournalEntry> {
    return await this.step('Staged', 'Quiescing', 'Quiesced', async (entry, services, deadline) => {
      if (entry.plan.quiesce) for (const server of services.apiServers) await server.stop(deadline);
      await services.etcd.stop(deadline);
      await this.requireStopped(services);
    });
  }

  async swap(): Promise<JournalEntry> {
    return await this.step('Quiesced', 'Swapping', 'Swapped', async (entry, services) => {
      await this.requireStopped(services);
      await swapIn(dirsOf(entry));
    });
  }

  async startEtcd(): Promise<JournalEntry> {
    return await this.step('Swapped', 'Starting', 'Started', async (entry, services, deadline) => {
      if (entry.plan.quiesce)
        for (const server of services.apiServers)
          if (!(await server.isStopped())) throw cameBack(server.label);
      await services.etcd.start(deadline);
      await untilServing(entry.etcd, deadline);
    });
  }

  async verify(): Promise<JournalEntry> {
    return await this.step('Started', 'Verifying', 'Verified', async (entry, _services, deadline) => {
      if (entry.staged === undefined) throw outOfOrder(entry, 'Staged');
      await untilServing(entry.etcd, deadline);
      await verifyMember(entry.etcd, entry.staged, deadline);
    });
  }

  /** From here on there is no way back. */
  async commit(): Promise<JournalEntry> {
    const entry = this.entry();
    if (hasReached(entry.state, 'Committed')) return entry;
    if (entry.state !== 'Verified') throw outOfOrder(entry, 'Verified');
    const committedMs = this.tools.clock().getTime();
    return await this.write({ ...entry, state: 'Committed', furthest: 'Committed', committedMs });
  }

  async resume(): Promise<JournalEntry> {
    return await this.step('Committed', 'Resuming', 'Resumed', async (entry, services, deadline) => {
      if (entry.plan.quiesce) for (const server of services.apiServers) await server.start(deadline);
    });
  }

  /** Puts everything back as it was before, and sees etcd serve again. */
  async rollBack(why: Problem | undefined): Promise<JournalEntry> {
    const entry = this.entry();
    const stage = stageOf(entry.state);
    if (stage === 'committed' || entry.state === 'Resumed' || entry.committedMs !== undefined)
      throw committed(entry);
    if (stage === 'over') return entry;
    const problem = entry.problem ?? why;
    if (stage === 'before') {
      await removeRestoreDirs(dirsOf(entry));
      return await this.write({
        ...entry,
        state: 'RolledBack',
        problem,
        message: 'nothing had been stopped',
      });
    }
    const going = await this.write({ ...entry, state: 'RollingBack', problem });
    const deadline = deadlineIn(WAY_BACK_MS, this.tools.signal);
    try {
      await this.goBack(going, deadline);
    } catch (error) {
      const { message, code } = problemOf(error);
      await this.write({ ...going, message: `the way back doesn't work yet: ${message} [${code}]` });
      throw error;
    }
    await removeRestoreDirs(dirsOf(going)).catch(() => undefined);
    return await this.write({ ...going, state: 'RolledBack', message: 'everything is as it was before' });
  }

  /** Removes what is left: after a restore, the data before it. */
  async cleanUp(): Promise<JournalEntry> {
    const entry = this.entry();
    if (stageOf(entry.state) !== 'over') throw outOfOrder(entry, 'Resumed');
    await removeRestoreDirs(dirsOf(entry));
    return entry.state === 'Resumed'
      ? await this.write({ ...entry, state: 'CleanedUp', message: '' })
      : entry;
  }

  private async goBack(entry: JournalEntry, deadline: Deadline): Promise<void> {
    const services = this.tools.services(entry);
    if (hasReached(entry.furthest, 'Swapping')) {
      await services.etcd.stop(deadline);
      await this.requireStopped(services);
      await swapBack(dirsOf(entry));
    }
    await services.etcd.start(deadline);
    try {
      await untilServing(entry.etcd, deadline);
    } finally {
      // Without etcd they do nothing; but whoever repairs it by hand shall find everything in its place.
      if (entry.plan.quiesce) for (const server of services.apiServers) await server.start(deadline);
    }
  }

  /** One step: its intent, the work, that it is done. A step that was done before is not done again. */
  private async step(
    from: JournalEntry['state'],
    doing: JournalEntry['state'],
    done: JournalEntry['state'],
    work: (entry: JournalEntry, services: NodeServices, deadline: Deadline) => Promise<void>,
  ): Promise<JournalEntry> {
    const before = this.entry();
    if (hasReached(before.state, done)) return before;
    if (before.state !== from && before.state !== doing) throw outOfOrder(before, from);
    const entry = await this.write({
      ...before,
      state: doing,
      furthest: doing,
      message: '',
      problem: undefined,
    });
    const leftMs = entry.deadlineMs - this.tools.clock().getTime();
    try {
      const deadline = deadlineIn(Math.max(leftMs, SHORTEST_MS), this.tools.signal);
      await work(entry, this.tools.services(entry), deadline);
    } catch (error) {
      // The agent goes down: the one that comes up does the step again.
      this.tools.signal.throwIfAborted();
      await this.write({ ...entry, problem: problemOf(error) });
      throw error;
    }
    return await this.write({ ...entry, state: done, furthest: done });
  }

  private async requireStopped({ etcd }: NodeServices): Promise<void> {
    if (await etcd.isStopped()) return;
    throw new GuardianError(
      'restore.not-stopped',
      `${etcd.label} runs, or something else has its database open`,
      {
        hint: 'Stop whatever else starts etcd on this node or reads its files (backup tools, etcdutl).',
        retryable: true,
      },
    );
  }

  private entry(): JournalEntry {
    const found = this.tools.journal.find(this.operation);
    if (found !== undefined) return found;
    throw new GuardianError('restore.unknown', `this node knows of no restore ${this.operation}`, {
      hint: 'Stage comes first.',
    });
  }

  private async write(entry: JournalEntry): Promise<JournalEntry> {
    const now = { ...entry, sinceMs: this.tools.clock().getTime() };
    await this.tools.journal.write(now);
    return now;
  }
}

export function dirsOf({ etcd, operation }: JournalEntry): RestoreDirs {
  return restoreDirs(etcd.dataDir, etcd.walDir, operation);
}

function outOfOrder({ operation, state }: JournalEntry, wanted: string): GuardianError {
  return new GuardianError('restore.order', `restore ${operation} is ${state} here, not ${wanted}`, {
    hint: 'Another coordinator, or the deadline, was faster. Ask for its status.',
  });
}

function committed({ operation }: JournalEntry): GuardianError {
  return new GuardianError('restore.committed', `restore ${operation} is committed: there is no way back`, {
    hint: 'To have the state before it, stop etcd and take the data from .etcdguardian in its data dir by hand.',
  });
}

function cameBack(label: string): GuardianError {
  return new GuardianError('restore.not-stopped', `${label} runs again, though it had been stopped`, {
    hint: 'Something else starts it on this node: stop that first.',
  });
}
