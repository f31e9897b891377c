import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type Job, orderOf } from './drill-job.ts';
import { type DrillPod, hasBegun, mayRun } from './drill-outcome.ts';
import { drillNames, SERVED_ANNOTATION } from './drill-request.ts';
import { endOf } from './job-end.ts';

/** What is to be done about a Job of ours. */
export type JobState =
  /** Its drill is held, or waits for its pod. Nothing else begins meanwhile. */
  | { readonly kind: 'active'; readonly backup: EtcdBackup | undefined }
  /** It has ended, and nobody wrote down how. */
  | { readonly kind: 'ended'; readonly backup: EtcdBackup; readonly requested: string | undefined }
  /**
   * It can't begin, or its time was over long ago and it never ended: it came back with a restored etcd, or nobody runs
   * Jobs. To be removed; nothing else begins until it is gone. `backup`: of which that is to be written down.
   */
  | {
      readonly kind: 'late' | 'lost';
      readonly backup: EtcdBackup | undefined;
      readonly requested: string | undefined;
      readonly overMs: number;
    }
  /** It is removed, and holds the place until its pods have ended. */
  | { readonly kind: 'leaving' }
  /** Written down, or of a backup that is gone, or removed long ago. */
  | { readonly kind: 'past' };

/** Between a Job's deadline and its end, with a controller that is slow; and so long pods may take to end. */
export const GRACE_MS = 600_000;

/** What is known about a Job. */
export interface JobFacts {
  /** Its own. */
  readonly pods: readonly DrillPod[];
  /** What its annotations name, if it is there. */
  readonly backup: EtcdBackup | undefined;
  readonly now: Date;
  /** A drill that has not begun so long after it was ordered can't begin. */
  readonly startLimitMs: number;
}

/**
 * Whether a drill may go on is told by the Job and its pods, however late it is by our clock, which may have stepped: what
 * runs is never taken for lost.
 */
export function stateOfJob(job: Job, { pods, backup, now, startLimitMs }: JobFacts): JobState {
  const order = orderOf(job);
  if (order === undefined) return { kind: 'past' };
  const current = backup !== undefined && isCurrent(job, backup) ? backup : undefined;
  const requested = job.metadata.annotations?.[SERVED_ANNOTATION];
  if (endOf(job) !== undefined)
    return current ? { kind: 'ended', backup: current, requested } : { kind: 'past' };
  const nowMs = now.getTime();
  const runs = pods.some((pod) => mayRun(pod, nowMs - GRACE_MS));
  const leftMs = Date.parse(job.metadata.deletionTimestamp ?? '');
  if (!Number.isNaN(leftMs)) return { kind: runs || nowMs <= leftMs + GRACE_MS ? 'leaving' : 'past' };
  const overMs = order.at.getTime() + deadlineOf(job);
  if (!runs && nowMs > overMs + GRACE_MS) return { kind: 'lost', backup: current, requested, overMs };
  if (!isUnderWay(job) && !pods.some(hasBegun) && nowMs > order.at.getTime() + startLimitMs)
    return { kind: 'late', backup: current, requested, overMs };
  return { kind: 'active', backup: current };
}

function deadlineOf({ spec: { activeDeadlineSeconds } }: Job): number {
  return typeof activeDeadlineSeconds === 'number' ? activeDeadlineSeconds * 1_000 : 0;
}

/** Whether it holds the drill that comes next for this very backup. */
function isCurrent(job: Job, backup: EtcdBackup): boolean {
  return orderOf(job)?.backup.uid === backup.metadata.uid && drillNames(backup).includes(job.metadata.name);
}

/** Whether it says that a pod of it has ended, which may be gone already. */
function isUnderWay({ status }: Job): boolean {
  const isEnding = status?.conditions?.some(({ type, status: is }) => ENDING.has(type) && is === 'True');
  return isEnding === true || (status?.failed ?? 0) > 0 || (status?.succeeded ?? 0) > 0;
}

const ENDING: ReadonlySet<string> = new Set(['FailureTarget', 'SuccessCriteriaMet']);
