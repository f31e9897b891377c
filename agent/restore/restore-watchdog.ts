import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { errorFields, errorText, type LogLines } from '../../lib/log-lines.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { stageOf } from '../../lib/restore/cluster/restore-states.ts';
import { problemOf } from '../errors-on-wire.ts';
import type { Steps } from './steps.ts';

export interface WatchedRestores {
  readonly journal: Journal;
  readonly steps: Pick<Steps, 'take' | 'busy'>;
  readonly clock: Clock;
  readonly log: LogLines;
  readonly everyMs: number;
  /** How long the data before a restore is kept. */
  readonly keepPreviousMs: number;
  readonly isStaging: (operation: string) => boolean;
  readonly signal: AbortSignal;
}

/** What a node does about a restore that nobody leads any more. */
export type OwnMove = 'rollBack' | 'resume' | 'cleanUp' | undefined;

/**
 * A node alone past the deadline: what is committed goes on, everything else goes back; a way back that was begun is gone
 * on with at once. The data before a restore goes when it is old. With more members than one the others would have to be asked first, so nothing is done then.
 */
export function ownMove(entry: JournalEntry, nowMs: number, keepPreviousMs: number): OwnMove {
  if (entry.state === 'Resumed' && nowMs - entry.sinceMs >= keepPreviousMs) return 'cleanUp';
  if (entry.plan.members.length > 1) return undefined;
  const stage = stageOf(entry.state);
  if (stage === 'going-back') return 'rollBack';
  if (nowMs < entry.deadlineMs) return undefined;
  if (stage === 'before' || stage === 'open') return 'rollBack';
  return stage === 'committed' ? 'resume' : undefined;
}

/** Looks at the deadlines until the signal, so that no node stays stopped because its coordinator is gone. */
export function watchRestores(watched: WatchedRestores): { readonly ended: Promise<void> } {
  return { ended: watch(watched) };
}

async function watch(watched: WatchedRestores): Promise<void> {
  const { journal, steps, clock, log, everyMs, keepPreviousMs, isStaging, signal } = watched;
  let failures = 0;
  let notBeforeMs = 0;
  while (!signal.aborted) {
    await pause(everyMs, undefined, { signal }).catch(() => undefined);
    const now = clock().getTime();
    for (const entry of journal.list()) {
      const move = ownMove(entry, now, keepPreviousMs);
      const { operation } = entry;
      if (move === undefined || steps.busy || isOver(signal) || isStaging(operation)) continue;
      if (performance.now() < notBeforeMs) continue;
      try {
        log.write(
          'warning',
          'restore-alone',
          `restore ${operation} is ${entry.state} and nobody leads it: ${move}`,
          {
            operation,
            state: entry.state,
          },
        );
        await steps.take(operation, move, { deadlineMs: now + OWN_MS, reason: problemOf(abandoned(entry)) });
        failures = 0;
      } catch (error) {
        if (isOver(signal)) return;
        failures++;
        notBeforeMs = performance.now() + Math.min(LONGEST_PAUSE_MS, 1_000 * 2 ** Math.min(failures, 10));
        log.write('error', 'restore-alone-failed', errorText(error), { operation, ...errorFields(error) });
      }
    }
  }
}

const OWN_MS = 120_000;
const LONGEST_PAUSE_MS = 30_000;

function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

function abandoned({ operation, state }: JournalEntry): GuardianError {
  return new GuardianError(
    'restore.deadline',
    `restore ${operation} was ${state} at its deadline, and its coordinator was not heard of`,
    { hint: 'Look at the log of the control plane, then restore again with a new EtcdRestore.' },
  );
}
