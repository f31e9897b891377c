import type { BackupEntry, SoundBackup } from './backup-entry.ts';
import { hasKeepRules, hoursText, keptPoints } from './kept-points.ts';
import type { TimelineContent } from './point-spans.ts';
import { decideSegments } from './retention-of-segments.ts';
import type { RetentionDecision, RetentionPlan, RetentionPolicy } from './retention-policy.ts';
import { isGoodBase } from './timeline-content.ts';

/** What retention decides on. */
export interface Holdings {
  /** As `listBackups` gives them, newest first. */
  readonly backups: readonly BackupEntry[];
  /** What stands of each timeline that has segments, newest first, with all of its bases and segments. */
  readonly timelines: readonly TimelineContent[];
}

/**
 * What stays of a cluster and what goes, from what is known now: decides on restore points, then keeps what these need.
 * The newest point and the newest good backup stay whatever the policy says. What is damaged is kept for a person to
 * look at; a backup that was found to differ from its member goes like a good one, but never counts as one.
 */
export function planRetention(
  { backups, timelines }: Holdings,
  policy: RetentionPolicy,
  now: Date,
): RetentionPlan {
  const listed = backups.filter((backup) => backup.removal === undefined && isMeant(backup, policy));
  const good = listed.filter(isGoodBase);
  const kept = keptPoints(good, timelines, policy, now);
  const keep: RetentionDecision[] = [];
  const remove: RetentionDecision[] = [];
  let newerGood = 0;
  for (const backup of listed) {
    const isGood = isGoodBase(backup);
    const stays =
      reasonToKeep(backup, now) ??
      (backup === good[0] ? 'the newest good one' : undefined) ??
      (isGood ? kept.reasonFor(backup) : undefined);
    const goes = stays === undefined ? reasonToRemove(backup, newerGood, policy, now) : undefined;
    if (goes === undefined) keep.push({ backup, reason: stays ?? 'within the policy' });
    else remove.push({ backup, reason: goes + lastOfTimeline(backup, good) });
    if (isGood) newerGood++;
  }
  return { keep, remove, segments: decideSegments(timelines, kept, policy), points: kept.points };
}

function isMeant(backup: BackupEntry, { labels = {} }: RetentionPolicy): boolean {
  if (backup.state === 'damaged') return true;
  const own = backup.manifest.labels ?? {};
  return Object.entries(labels).every(([name, value]) => own[name] === value);
}

function reasonToKeep(backup: BackupEntry, now: Date): string | undefined {
  if (backup.state === 'damaged') return `not touched, because it can't be read: ${backup.problem.message}`;
  const { retainUntil } = backup.manifest;
  return retainUntil !== undefined && retainUntil > now
    ? `retained until ${retainUntil.toISOString()}`
    : undefined;
}

/** Why one goes that no rule keeps; undefined: it doesn't. `newerGood`: how many good ones are newer. */
function reasonToRemove(
  backup: BackupEntry,
  newerGood: number,
  policy: RetentionPolicy,
  now: Date,
): string | undefined {
  const { maxBackups, maxAgeMs, keepWithinMs } = policy;
  if (backup.state === 'damaged') return undefined;
  const ageMs = now.getTime() - backup.manifest.completedAt.getTime();
  if (maxBackups !== undefined && newerGood >= maxBackups) return `${newerGood} newer good ones are there`;
  if (maxAgeMs !== undefined && ageMs > maxAgeMs) return `older than ${hoursText(maxAgeMs)}`;
  if (!hasKeepRules(policy)) return undefined;
  // One that differs from its member is no restore point: rules don't choose it.
  if (!isGoodBase(backup) && (newerGood === 0 || ageMs <= (keepWithinMs ?? -1))) return undefined;
  return 'no rule keeps it';
}

function lastOfTimeline(backup: BackupEntry, good: readonly SoundBackup[]): string {
  const [only, another] = good.filter(({ timeline }) => timeline === backup.timeline);
  return only === backup && another === undefined
    ? `; it is the only good one of timeline ${backup.timeline}`
    : '';
}
