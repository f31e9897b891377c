import type { Clock } from '../../lib/clock.ts';
import type { Problem } from '../../lib/agent-api/request-parts.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { fateOf, hasReached, stageOf } from '../../lib/restore/cluster/restore-states.ts';
import { AS_BEFORE, NOTHING_STOPPED } from '../../lib/restore/cluster/way-back.ts';
import { problemOf } from '../errors-on-wire.ts';
import { dirsOf, type MemberData } from './member-data.ts';
import { type Deadline, deadlineIn } from './node-service.ts';
import type { NodeServices } from './node-services.ts';

export interface MemberRestoreTools {
  readonly journal: Journal;
  readonly clock: Clock;
  /** Never steps. Default the process's. */
  readonly nowMs?: (() => number) | undefined;
  readonly services: (entry: JournalEntry) => NodeServices;
  readonly data: MemberData;
  readonly signal: AbortSignal;
}

/** At least so long is tried, also by a call that comes when its deadline has all but passed. */
const SHORTEST_MS = 5_000;
/** At most so long, whatever the node's clock says. */
const LONGEST_MS = 900_000;
/** For the way back, which has to come to an end. */
const WAY_BACK_MS = 180_000;
/** For an etcd that a person doesn't wait for any more. */
const LAST_TRY_MS = 20_000;
/** To start API servers on the way back. */
const API_SERVERS_MS = 20_000;

/**
 * The steps of one node, one after the other, each with its intent on disk before it is done: after a crash at any point
 * the same step may be asked for again. Rejects with `restore.order` where a step doesn't follow, `restore.committed`,
 * `restore.given-up`, and what goes wrong in it, which is in the journal then, too.
 */
export class MemberRestore {
  private readonly operation: string;
  private readonly tools: MemberRestoreTools;

  constructor(operation: string, tools: MemberRestoreTools) {
    this.operation = operation;
    this.tools = tools;
  }

  /** Nothing but that somebody leads it, as long as it is only staged. */
  hold(): JournalEntry {
    const entry = this.entry();
    if (stageOf(entry.state) !== 'before') throw outOfOrder(entry, 'Staged');
    return entry;
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
      await this.tools.data.swapIn(entry);
    });
  }

  async startEtcd(): Promise<JournalEntry> {
    return await this.step('Swapped', 'Starting', 'Started', async (entry, services, deadline) => {
      if (entry.plan.quiesce)
        for (const server of services.apiServers)
          if (!(await server.isStopped())) throw cameBack(server.label);
      await services.etcd.start(deadline);
      await this.tools.data.untilServing(entry, deadline);
    });
  }

  /** Its end is this node's vote: from then on the others may commit. */
  async verify(): Promise<JournalEntry> {
    return await this.step('Started', 'Verifying', 'Verified', async (entry, _services, deadline) => {
      if (entry.staged === undefined) throw outOfOrder(entry, 'Staged');
      await this.tools.data.untilServing(entry, deadline);
      await this.tools.data.verify(entry, entry.staged, deadline);
    });
  }

  /** From here on there is no way back. `because`: who else has decided it, for one that has given up. */
  async commit(because?: string): Promise<JournalEntry> {
    const entry = this.entry();
    if (hasReached(entry.state, 'Committed')) return entry;
    if (entry.state !== 'Verified') throw outOfOrder(entry, 'Verified');
    if (entry.givenUp === true && because === undefined) throw givenUp(entry);
    const committedMs = this.tools.clock().getTime();
    const message = because ?? '';
    return await this.write({ ...entry, state: 'Committed', furthest: 'Committed', committedMs, message });
  }

  /** On disk when it resolves: from then on no coordinator makes this node commit. Only what has voted needs it. */
  async giveUp(): Promise<JournalEntry> {
    const entry = this.entry();
    if (entry.state !== 'Verified' || entry.givenUp === true) return entry;
    return await this.write({ ...entry, givenUp: true, message: 'given up: its peers are asked' });
  }

  async resume(): Promise<JournalEntry> {
    return await this.step('Committed', 'Resuming', 'Resumed', async (entry, services, deadline) => {
      if (!entry.plan.quiesce) return undefined;
      for (const server of services.apiServers) await server.start(deadline);
      return await services.companions?.restart(deadline);
    });
  }

  /**
   * Puts everything back as it was before, and sees etcd serve again. `unserved`: who has decided that it is over also where
   * etcd doesn't serve on its old data, once that lies in its place; nothing is removed then.
   */
  async rollBack(why: Problem | undefined, unserved?: string): Promise<JournalEntry> {
    const entry = this.entry();
    if (fateOf(entry.state, entry.committedMs) === 'committed' || entry.committedMs !== undefined)
      throw committed(entry);
    if (stageOf(entry.state) === 'over') return entry;
    const going = await this.write({ ...entry, state: 'RollingBack', problem: entry.problem ?? why });
    if (!hasReached(going.furthest, 'Quiescing')) {
      await this.tools.data.remove(going);
      return await this.write({ ...going, state: 'RolledBack', message: NOTHING_STOPPED });
    }
    let back = going;
    try {
      const deadline = this.deadline(WAY_BACK_MS);
      back = await this.putBack(going, deadline);
      const left = unserved === undefined ? deadline : this.deadline(LAST_TRY_MS);
      const silence = await this.serveAgain(back, left);
      this.tools.signal.throwIfAborted();
      if (silence !== undefined && unserved !== undefined)
        return await this.write({ ...back, state: 'RolledBack', message: leftSo(back, unserved, silence) });
      if (silence !== undefined) throw silence;
    } catch (error) {
      const { message, code } = problemOf(error);
      await this.write({ ...back, message: `the way back doesn't work yet: ${message} [${code}]` });
      throw error;
    }
    await this.tools.data.remove(back).catch(() => undefined);
    return await this.write({ ...back, state: 'RolledBack', message: AS_BEFORE });
  }

  /** Removes what is left: after a restore, the data before it. */
  async cleanUp(): Promise<JournalEntry> {
    const entry = this.entry();
    if (stageOf(entry.state) !== 'over') throw outOfOrder(entry, 'Resumed');
    await this.tools.data.remove(entry);
    return entry.state === 'Resumed'
      ? await this.write({ ...entry, state: 'CleanedUp', message: '' })
      : entry;
  }

  /** Once it is in its place, etcd is left running: one that takes long to serve gets there. */
  private async putBack(entry: JournalEntry, deadline: Deadline): Promise<JournalEntry> {
    if (entry.putBack === true || !hasReached(entry.furthest, 'Swapping')) return entry;
    const services = this.tools.services(entry);
    await services.etcd.stop(deadline);
    await this.requireStopped(services);
    await this.tools.data.swapBack(entry);
    return await this.write({ ...entry, putBack: true });
  }

  /** Resolves to why etcd doesn't serve, or else to why an API server can't be started, where that is so. */
  private async serveAgain(entry: JournalEntry, deadline: Deadline): Promise<GuardianError | undefined> {
    const services = this.tools.services(entry);
    const silences: GuardianError[] = [];
    const noted = (error: unknown): void => {
      if (!isSilence(error)) throw error;
      silences.push(error);
    };
    try {
      await services.etcd.start(deadline);
      await this.tools.data.untilServing(entry, deadline);
    } catch (error) {
      noted(error);
    } finally {
      // Without etcd they do nothing; but whoever repairs it by hand shall find everything in its place. An etcd that was
      // waited for in vain has left them no time.
      const own = this.deadline(API_SERVERS_MS);
      if (entry.plan.quiesce) for (const server of services.apiServers) await server.start(own).catch(noted);
    }
    return silences[0];
  }

  /**
   * One step: its intent, the work, that it is done. A step that was done before is not done again. `work` resolves to what
   * there is to say of it.
   */
  private async step(
    from: JournalEntry['state'],
    doing: JournalEntry['state'],
    done: JournalEntry['state'],
    work: (entry: JournalEntry, services: NodeServices, deadline: Deadline) => Promise<string | undefined>,
  ): Promise<JournalEntry> {
    const before = this.entry();
    if (before.state === 'Verified' && before.givenUp === true) throw givenUp(before);
    if (hasReached(before.state, done)) return before;
    if (before.state !== from && before.state !== doing) throw outOfOrder(before, from);
    const entry = await this.write({
      ...before,
      state: doing,
      furthest: doing,
      // Why it was committed stays.
      message: from === 'Committed' ? before.message : '',
      problem: undefined,
    });
    const leftMs = entry.deadlineMs - this.tools.clock().getTime();
    let said: string | undefined;
    try {
      const deadline = this.deadline(Math.min(Math.max(leftMs, SHORTEST_MS), LONGEST_MS));
      said = await work(entry, this.tools.services(entry), deadline);
    } catch (error) {
      // The agent goes down: the one that comes up does the step again.
      this.tools.signal.throwIfAborted();
      await this.write({ ...entry, problem: problemOf(error) });
      throw error;
    }
    const message = [entry.message, said ?? ''].filter((text) => text !== '').join('; ');
    return await this.write({ ...entry, state: done, furthest: done, message });
  }

  private deadline(ms: number): Deadline {
    return deadlineIn(ms, this.tools.signal, this.tools.nowMs);
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

/** Whether it says that etcd doesn't come up, or doesn't serve. */
export function isSilence(error: unknown): error is GuardianError {
  return hasCode(error, 'restore.not-serving') || hasCode(error, 'restore.service');
}

function leftSo(entry: JournalEntry, unserved: string, { message, code }: GuardianError): string {
  const { dataDir, all } = dirsOf(entry);
  return `${unserved}: the old data lies in ${dataDir}, but ${message} [${code}]; what had been restored is kept in ${all.join(' and ')} until "restore clean-up"`;
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

function givenUp({ operation }: JournalEntry): GuardianError {
  return new GuardianError('restore.given-up', `restore ${operation} was given up here at its deadline`, {
    hint: 'This node now goes by what the others have done: see to it that their agents answer, or "etcdguardian restore settle".',
  });
}

function cameBack(label: string): GuardianError {
  return new GuardianError('restore.not-stopped', `${label} runs again, though it had been stopped`, {
    hint: 'Something else starts it on this node: stop that first.',
  });
}
