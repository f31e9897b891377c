import {
  type BackupEntry,
  type RetentionDecision,
  type RetentionPlan,
  type RetentionPolicy,
} from './repository.ts';

/**
 * Which backups of a cluster stay and which go, from what is known now. `backups` as `listBackups` gives them, newest
 * first. Good ones count towards `maxBackups`; the newest good one stays whatever the policy says. What is damaged is
 * kept for a person to look at; what was found to differ from its member goes like a good one, but never counts as one.
 */
export function planRetention(
  backups: readonly BackupEntry[],
  policy: RetentionPolicy,
  now: Date,
): RetentionPlan {
  const keep: RetentionDecision[] = [];
  const remove: RetentionDecision[] = [];
  const listed = backups.filter((backup) => backup.removal === undefined && isMeant(backup, policy));
  const last = listed.find(isGood);
  let good = 0;
  for (const backup of listed) {
    const kept = isGood(backup) ? good++ : good;
    const reason = backup === last ? 'the newest good one' : reasonToKeep(backup, now);
    if (reason !== undefined) {
      keep.push({ backup, reason });
      continue;
    }
    const beyond = reasonToRemove(backup, kept, policy, now);
    if (beyond === undefined) keep.push({ backup, reason: 'within the policy' });
    else remove.push({ backup, reason: beyond });
  }
  return { keep, remove };
}

function isMeant(backup: BackupEntry, { labels = {} }: RetentionPolicy): boolean {
  if (backup.state === 'damaged') return true;
  const own = backup.manifest.labels ?? {};
  return Object.entries(labels).every(([name, value]) => own[name] === value);
}

function isGood(backup: BackupEntry): boolean {
  return backup.state === 'sound' && backup.manifest.proof.kind !== 'mismatch';
}

function reasonToKeep(backup: BackupEntry, now: Date): string | undefined {
  if (backup.state === 'damaged') return `not touched, because it can't be read: ${backup.problem.message}`;
  const { retainUntil } = backup.manifest;
  return retainUntil !== undefined && retainUntil > now
    ? `retained until ${retainUntil.toISOString()}`
    : undefined;
}

/** `newerGood`: how many good ones are newer. */
function reasonToRemove(
  backup: BackupEntry,
  newerGood: number,
  { maxBackups, maxAgeMs }: RetentionPolicy,
  now: Date,
): string | undefined {
  if (maxBackups !== undefined && newerGood >= maxBackups) return `${newerGood} newer good ones are there`;
  if (backup.state === 'damaged' || maxAgeMs === undefined) return undefined;
  const ageMs = now.getTime() - backup.manifest.completedAt.getTime();
  return ageMs > maxAgeMs ? `older than ${Math.round(maxAgeMs / 360_000) / 10} h` : undefined;
}
