import type { Condition } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { ScheduleSource } from './schedule-source.ts';

/** Older stamps show as a warning: people change jobs, and what runs with their rights goes on. */
export const STALE_MS = 90 * 24 * 3_600_000;

const TYPE = 'RequesterStale';

/**
 * Condition `RequesterStale`. A stamp has no time of its own: it is as old as the generation of the spec, since each
 * change of it is stamped anew; and that is as old as the condition that first told of it, or as the object.
 */
export function requesterStale(source: ScheduleSource, now: Date): Condition | undefined {
  const { requestedBy } = source.runSpec;
  if (requestedBy === undefined) return undefined;
  const { generation = 1, creationTimestamp } = source.metadata;
  const known = source.status.conditions?.find(
    ({ type, observedGeneration }) => type === TYPE && observedGeneration === generation,
  );
  const sinceText =
    STAMPED.exec(known?.message ?? '')?.[1] ?? (generation === 1 ? creationTimestamp : undefined);
  const since = new Date(sinceText ?? now);
  const stale = now.getTime() - since.getTime() > STALE_MS;
  const who = JSON.stringify(requestedBy.username.slice(0, 200));
  const advice = stale
    ? '; let somebody who is still responsible change the spec, which asks in his name'
    : '';
  const status = stale ? 'True' : 'False';
  return {
    ...{ type: TYPE, status, observedGeneration: generation, reason: stale ? 'Old' : 'Fresh' },
    message: `asked for by ${who} since ${seconds(since)}${advice}`,
    lastTransitionTime:
      known?.status === status
        ? known.lastTransitionTime
        : seconds(stale ? new Date(since.getTime() + STALE_MS) : since),
  };
}

const STAMPED = / since (\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z)/;

function seconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
