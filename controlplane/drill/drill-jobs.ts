import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type Job, orderOf } from './drill-job.ts';
import { drillName, SERVED_ANNOTATION } from './drill-request.ts';

/** What is to be done about a Job of ours. */
export type JobState =
  /** Its drill is held, or waits for its pod. Nothing else begins meanwhile. */
  | { readonly kind: 'active'; readonly backup: EtcdBackup | undefined }
  /** It has ended, and nobody wrote down how. */
  | { readonly kind: 'ended'; readonly backup: EtcdBackup; readonly requested: string | undefined }
  /** Its time was over long ago, and it never ended: it came back with a restored etcd, or nobody runs Jobs. */
  | {
      readonly kind: 'lost';
      readonly backup: EtcdBackup;
      readonly requested: string | undefined;
      readonly overMs: number;
    }
  /** Written down, or of a backup that is gone, or lost without one. */
  | { readonly kind: 'past' };

/** Between a Job's deadline and its end, with a controller that is slow. */
const GRACE_MS = 600_000;

/** `backup`: what the Job's annotations name, if it is there. */
export function stateOfJob(job: Job, backup: EtcdBackup | undefined, now: Date): JobState {
  const order = orderOf(job);
  if (order === undefined) return { kind: 'past' };
  const current = backup !== undefined && isCurrent(job, backup) ? backup : undefined;
  const requested = job.metadata.annotations?.[SERVED_ANNOTATION];
  if (endOf(job) !== undefined)
    return current ? { kind: 'ended', backup: current, requested } : { kind: 'past' };
  const overMs = order.at.getTime() + deadlineOf(job);
  if (now.getTime() <= overMs + GRACE_MS) return { kind: 'active', backup: current };
  return current ? { kind: 'lost', backup: current, requested, overMs } : { kind: 'past' };
}

function deadlineOf({ spec: { activeDeadlineSeconds } }: Job): number {
  return typeof activeDeadlineSeconds === 'number' ? activeDeadlineSeconds * 1_000 : 0;
}

/** Whether it holds the drill that comes next for this very backup. */
function isCurrent(job: Job, backup: EtcdBackup): boolean {
  return orderOf(job)?.backup.uid === backup.metadata.uid && job.metadata.name === drillName(backup);
}

/** The condition that says that it has ended, and how. */
export function endOf({ status }: Job): { readonly reason: string; readonly message: string } | undefined {
  const end = status?.conditions?.find(
    (condition) => ENDS.has(condition.type) && condition.status === 'True',
  );
  return end && { reason: end.reason ?? end.type, message: end.message ?? '' };
}

const ENDS: ReadonlySet<string> = new Set(['Complete', 'Failed']);
