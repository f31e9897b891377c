import type { Job } from './drill-job.ts';

/** The condition that says that a Job has ended, and how; undefined while it has not. */
export function endOf({ status }: Job): { readonly reason: string; readonly message: string } | undefined {
  const end = status?.conditions?.find(
    (condition) => ENDS.has(condition.type) && condition.status === 'True',
  );
  return end && { reason: end.reason ?? end.type, message: end.message ?? '' };
}

const ENDS: ReadonlySet<string> = new Set(['Complete', 'Failed']);
