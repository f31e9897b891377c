import type {
  NamespaceBackupEntry,
  NamespaceRetention,
  NamespaceRetentionDecision,
  NamespaceRetentionPlan,
} from './namespace-backups.ts';
import { hoursText } from './kept-points.ts';

/**
 * What stays of a cluster's backups of namespaces, newest first, and what goes. The newest good one stays whatever the
 * policy says, so does what is damaged, for a person to look at.
 */
export function planNamespaceRetention(
  backups: readonly NamespaceBackupEntry[],
  policy: NamespaceRetention,
  now: Date,
): NamespaceRetentionPlan {
  const keep: NamespaceRetentionDecision[] = [];
  const remove: NamespaceRetentionDecision[] = [];
  let newerGood = 0;
  for (const backup of backups) {
    if (backup.removal !== undefined || !isMeant(backup, policy)) continue;
    if (backup.state === 'damaged') {
      keep.push({ backup, reason: `not touched, because it can't be read: ${backup.problem.message}` });
      continue;
    }
    const { retainUntil, completedAt } = backup.manifest;
    const goes = reasonToRemove(newerGood, now.getTime() - completedAt.getTime(), policy);
    const isRetained = retainUntil !== undefined && retainUntil > now;
    if (newerGood === 0) keep.push({ backup, reason: 'the newest good one' });
    else if (isRetained) keep.push({ backup, reason: `retained until ${retainUntil.toISOString()}` });
    else if (goes === undefined) keep.push({ backup, reason: 'within the policy' });
    else remove.push({ backup, reason: goes });
    newerGood++;
  }
  return { keep, remove };
}

function isMeant(backup: NamespaceBackupEntry, { labels = {} }: NamespaceRetention): boolean {
  if (backup.state === 'damaged') return true;
  const own = backup.manifest.labels ?? {};
  return Object.entries(labels).every(([name, value]) => own[name] === value);
}

function reasonToRemove(
  newerGood: number,
  ageMs: number,
  { maxBackups, maxAgeMs }: NamespaceRetention,
): string | undefined {
  if (maxBackups !== undefined && newerGood >= maxBackups) return `${newerGood} newer good ones are there`;
  if (maxAgeMs !== undefined && ageMs > maxAgeMs) return `older than ${hoursText(maxAgeMs)}`;
  return undefined;
}
