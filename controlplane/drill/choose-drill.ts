import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { keyOf } from '../../lib/kubernetes/object-key.ts';
import { doubledMs } from '../doubled-delay.ts';
import { unservedRequest } from './drill-request.ts';
import {
  type DrillSeries,
  drilledByItself,
  lastDrill,
  lastHeldMs,
  type Refusal,
  whyNotDrilled,
} from './drill-series.ts';

/** What is to be done about drills. */
export interface DrillChoice {
  /** What to drill now. */
  readonly drill: WantedDrill | undefined;
  /** Backups that drills were asked for and that can't be drilled. */
  readonly refused: readonly RefusedDrill[];
  /** When the next drill is due, if nothing is now. */
  readonly nextMs: number | undefined;
}

export interface WantedDrill {
  readonly backup: EtcdBackup;
  /** The value of the annotation that asked for it. */
  readonly requested: string | undefined;
}

export interface RefusedDrill extends Refusal {
  readonly backup: EtcdBackup;
  readonly requested: string;
}

/** A drill that could not be held is tried again so soon, then after twice as long each time, up to the cadence. */
export const FIRST_RETRY_MS = 3_600_000;

/**
 * The one drill that is due now, if any: what somebody asks for, then the series that is longest without a drill. But who
 * has waited for twice the cadence comes before those who ask, in turn, however many backups were never drilled.
 * `everyMs` 0: nothing is due by itself. `isPutOff`: its drill could not be prepared, and others go first.
 */
export function chooseDrill(
  backups: readonly EtcdBackup[],
  series: readonly DrillSeries[],
  everyMs: number,
  now: Date,
  isPutOff: (backup: EtcdBackup) => boolean = () => false,
): DrillChoice {
  const nowMs = now.getTime();
  const asked: Candidate[] = [];
  const refused: RefusedDrill[] = [];
  for (const backup of backups) {
    const requested = unservedRequest(backup);
    if (requested === undefined) continue;
    const why = whyNotDrilled(backup);
    if (why === undefined) {
      if (!isPutOff(backup)) asked.push({ backup, requested, heldMs: ofSeries(backup, series, now) });
    } else if (why !== 'unfinished') refused.push({ backup, requested, ...why });
  }
  const next = everyMs === 0 ? [] : series.flatMap((one) => nextOf(one, everyMs, now) ?? []);
  const scheduled = next.filter(({ backup }) => !isPutOff(backup));
  const due = scheduled.filter(({ dueMs }) => dueMs <= nowMs);
  const overdue = due.filter(({ dueMs }) => nowMs - dueMs >= everyMs);
  const [first] = [longestDue(overdue), longestWithout(asked), longestWithout(due)].flat();
  const later = scheduled.map(({ dueMs }) => dueMs).filter((dueMs) => dueMs > nowMs);
  return {
    // Who drills it anyway serves who asks for it.
    drill: first && { backup: first.backup, requested: unservedRequest(first.backup) },
    refused,
    nextMs: later.length === 0 ? undefined : Math.min(...later),
  };
}

interface Candidate {
  readonly backup: EtcdBackup;
  readonly requested?: string;
  /** When its series was last drilled. */
  readonly heldMs: number | undefined;
}

interface Scheduled extends Candidate {
  readonly dueMs: number;
}

/** The newest backup of a series that asks for it, and when. */
function nextOf(series: DrillSeries, everyMs: number, now: Date): Scheduled | undefined {
  const backup = drilledByItself(series);
  if (backup === undefined) return undefined;
  const heldMs = lastHeldMs(series, now);
  if (series.isAlone && heldMs !== undefined) return undefined;
  const last = lastDrill(series, now);
  const completedMs = Date.parse(backup.status?.completionTime ?? '');
  const firstMs = Number.isNaN(completedMs) ? 0 : completedMs;
  const retryMs =
    last?.drill.result === 'Unknown' ? last.timeMs + retryAfterMs(last.drill.attempts, everyMs) : 0;
  const dueMs = Math.max(heldMs === undefined ? firstMs : heldMs + everyMs, retryMs);
  return { backup, heldMs, dueMs };
}

export function retryAfterMs(attempts = 1, everyMs: number): number {
  return doubledMs(attempts, FIRST_RETRY_MS, everyMs);
}

function ofSeries(backup: EtcdBackup, all: readonly DrillSeries[], now: Date): number | undefined {
  const series = all.find(({ runs }) => runs.includes(backup));
  return series && lastHeldMs(series, now);
}

function longestWithout(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates].sort(
    (a, b) =>
      (a.heldMs ?? 0) - (b.heldMs ?? 0) ||
      (a.backup.status?.completionTime ?? '').localeCompare(b.backup.status?.completionTime ?? '') ||
      keyOf(a.backup).localeCompare(keyOf(b.backup)),
  );
}

function longestDue(overdue: readonly Scheduled[]): Scheduled[] {
  return [...overdue].sort((a, b) => a.dueMs - b.dueMs || keyOf(a.backup).localeCompare(keyOf(b.backup)));
}
