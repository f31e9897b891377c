import type { Problem } from '../../lib/agent-api/request-parts.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { errorFields, errorText, type LogLines } from '../../lib/log-lines.ts';
import type { Clock } from '../../lib/clock.ts';
import {
  moveByPeers,
  ownMove,
  type OwnMove,
  type PeerAnswer,
  type PeersMove,
} from '../../lib/restore/cluster/decide-alone.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { stageOf } from '../../lib/restore/cluster/restore-states.ts';
import type { Waiting } from '../../lib/restore/cluster/waiting.ts';
import { problemOf } from '../errors-on-wire.ts';
import type { Peers } from './peers.ts';
import type { Steps } from './steps.ts';

export interface WatchedRestores {
  readonly journal: Journal;
  readonly steps: Pick<Steps, 'take' | 'busy'>;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly waiting: Waiting;
  readonly log: LogLines;
  readonly everyMs: number;
  /** How long the data before a restore is kept. */
  readonly keepPreviousMs: number;
  readonly isStaging: (operation: string) => boolean;
  /** Resolves when nothing is staged any more; the journal says then that it failed. */
  readonly endStaging: (operation: string) => Promise<void>;
  readonly signal: AbortSignal;
  /** What follows from the peers' answers; `moveByPeers` but where a test looks for what another rule would do. */
  readonly decide?: ((answers: readonly PeerAnswer[]) => PeersMove) | undefined;
}

export interface RestoreWatchdog {
  readonly ended: Promise<void>;
  /** Where this node has given up: asks its peers now, and does what follows. Never rejects. */
  readonly askAtOnce: (operation: string) => Promise<void>;
}

/** Looks at the deadlines until the signal, so that no node stays stopped because its coordinator is gone. */
export function watchRestores(watched: WatchedRestores): RestoreWatchdog {
  const watchdog = new Watchdog(watched);
  return {
    ended: watchdog.run(),
    // What it rejects with is tried again in its time.
    askAtOnce: (operation) => watchdog.askPeers(operation).catch(() => undefined),
  };
}

const OWN_MS = 120_000;
const LONGEST_PAUSE_MS = 30_000;
/** Staging may take hours, a step minutes: what is more comes of a clock that was set. */
const LONGEST_STAGING_MS = 24 * 3_600_000;
const LONGEST_STEP_MS = 900_000;

interface Tries {
  readonly state: JournalEntry['state'];
  readonly count: number;
  readonly notBeforeMs: number;
}

class Watchdog {
  private readonly watched: WatchedRestores;
  /** When each deadline passes, by a clock that never steps. */
  private readonly due = new Map<string, { readonly deadlineMs: number; readonly atMs: number }>();
  /** How often it went wrong, or told nothing, in a state, and before when it is not tried again. */
  private readonly tries = new Map<string, Tries>();

  constructor(watched: WatchedRestores) {
    this.watched = watched;
  }

  async run(): Promise<void> {
    const { journal, waiting, everyMs, signal } = this.watched;
    while (!signal.aborted) {
      await waiting.pause(everyMs, signal);
      for (const { operation } of journal.list()) {
        // As it is now: looking at the one before it may have taken minutes.
        const entry = journal.find(operation);
        if (entry !== undefined) await this.look(entry);
      }
    }
  }

  /** Rejects with `restore.waits` where nothing follows yet, and as the step does. */
  async askPeers(operation: string): Promise<void> {
    const { journal, peers, steps, log, signal, decide = moveByPeers } = this.watched;
    const entry = journal.find(operation);
    if (entry?.state !== 'Verified' || entry.givenUp !== true) return;
    const next = decide(await peers.ask(entry, signal));
    if (next.move === 'wait') {
      const text = `restore ${operation} waits for ${next.nodes.join(', ')}: it was given up here, and they may have committed it`;
      log.write('warning', 'restore-waits', text, { operation, nodes: next.nodes });
      throw waits(operation, next.nodes);
    }
    const { because } = next;
    log.write('warning', 'restore-settled', `restore ${operation}: ${next.move}, as ${because}`, {
      operation,
    });
    // What is committed so goes on at once: its deadline has passed already.
    const deadlineMs = next.move === 'commit' ? undefined : this.watched.clock().getTime() + OWN_MS;
    await steps.take(operation, next.move, { deadlineMs, because, reason: problemOf(abandoned(entry)) });
  }

  private async look(entry: JournalEntry): Promise<void> {
    const { steps, waiting, log, isStaging, endStaging, signal } = this.watched;
    const { operation } = entry;
    const move = this.move(entry);
    const before = this.tries.get(operation);
    // A person may have settled it meanwhile.
    const tried = before?.state === entry.state ? before : undefined;
    if (move === undefined || steps.busy || signal.aborted) return;
    if (waiting.nowMs() < (tried?.notBeforeMs ?? 0)) return;
    try {
      if (move !== 'askPeers') {
        const text = `restore ${operation} is ${entry.state} and nobody leads it: ${move}`;
        log.write('warning', 'restore-alone', text, { operation, state: entry.state });
      }
      if (isStaging(operation)) await endStaging(operation);
      else await this.make(move, entry);
      this.tries.delete(operation);
    } catch (error) {
      if (isOver(signal)) return;
      const count = (tried?.count ?? 0) + 1;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, 1_000 * 2 ** Math.min(count, 10));
      this.tries.set(operation, { state: entry.state, count, notBeforeMs: waiting.nowMs() + pauseMs });
      if (error instanceof GuardianError && error.code === 'restore.waits') return;
      log.write('error', 'restore-alone-failed', errorText(error), { operation, ...errorFields(error) });
    }
  }

  private move(entry: JournalEntry): OwnMove {
    const { clock, keepPreviousMs } = this.watched;
    const nowMs = clock().getTime();
    return ownMove(entry, { nowMs, keepPreviousMs, isPast: this.isPast(entry, nowMs) });
  }

  /** Once a deadline is known here, setting the node's clock doesn't move it. */
  private isPast({ operation, state, deadlineMs }: JournalEntry, nowMs: number): boolean {
    const monotonicMs = this.watched.waiting.nowMs();
    let due = this.due.get(operation);
    if (due?.deadlineMs !== deadlineMs) {
      const mostMs = stageOf(state) === 'before' ? LONGEST_STAGING_MS : LONGEST_STEP_MS;
      due = { deadlineMs, atMs: monotonicMs + Math.min(mostMs, deadlineMs - nowMs) };
      this.due.set(operation, due);
    }
    return monotonicMs >= due.atMs;
  }

  private async make(move: NonNullable<OwnMove>, entry: JournalEntry): Promise<void> {
    const { steps, clock } = this.watched;
    const { operation } = entry;
    if (move === 'giveUp') await steps.take(operation, move);
    if (move === 'giveUp' || move === 'askPeers') {
      await this.askPeers(operation);
      return;
    }
    const reason: Problem = problemOf(abandoned(entry));
    await steps.take(operation, move, { deadlineMs: clock().getTime() + OWN_MS, reason });
  }
}

function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

function waits(operation: string, nodes: readonly string[]): GuardianError {
  return new GuardianError('restore.waits', `restore ${operation} waits for ${nodes.join(', ')}`, {
    hint: 'See to it that their agents answer; if they never come back, decide with "etcdguardian restore settle".',
    retryable: true,
  });
}

function abandoned({ operation, state }: JournalEntry): GuardianError {
  return new GuardianError(
    'restore.deadline',
    `restore ${operation} was ${state} at its deadline, and its coordinator was not heard of`,
    { hint: 'Look at the log of the control plane, then restore again with a new EtcdRestore.' },
  );
}
