import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { RetentionPolicy, Repository, RetentionPlan } from '../../lib/repository/repository.ts';
import { retentionScope, SCOPE_LABEL } from '../backup/backup-labels.ts';
import { durationMs } from './duration.ts';

/** What a policy removed. */
export interface Applied {
  /** Ids of backups that are removed now. */
  readonly removed: ReadonlySet<string>;
  /** Whether the point of a chain at that revision can't be had any more. */
  readonly isLost: (chain: string, revision: bigint) => boolean;
}

export const RETENTION_BY = 'etcdguardian retention';

/**
 * Applies the policy of the newest backup of a group to all of them, and to nobody else's in that place. Never removes
 * the last good one. Changes behind the full backups serve everybody in the place: they are trimmed only where all that
 * would go with them is of this scope.
 */
export async function applyPolicy(
  repository: Repository,
  newest: EtcdBackup,
  signal: AbortSignal,
): Promise<Applied> {
  const { cluster = '' } = newest.status?.restorePoint ?? {};
  const scope = retentionScope(newest);
  const limits = limitsOf(newest);
  const own = { ...limits, labels: { [SCOPE_LABEL]: scope } };
  const request = { by: RETENTION_BY, reason: `retentionPolicy of ${scope}` };
  if (newest.status?.namespaces !== undefined) {
    const { remove } = await repository.namespaces.applyRetention(cluster, own, request, { signal });
    return applied(remove.map(({ backup }) => backup.id));
  }
  const whole = await repository.planRetention(cluster, limits, { signal });
  const policy = isAllOurs(whole, scope) ? limits : own;
  const plan = await repository.applyRetention(cluster, policy, request, { signal });
  const trims = plan.segments.filter(({ action }) => action === 'trim');
  return applied(
    plan.remove.map(({ backup }) => backup.id),
    (chain, revision) => trims.some((trim) => trim.chain.id === chain && trim.from < revision),
  );
}

function limitsOf({ spec }: EtcdBackup): Pick<RetentionPolicy, 'maxBackups' | 'maxAgeMs'> {
  const { maxBackups, maxAge } = spec.retentionPolicy ?? {};
  const maxAgeMs = maxAge === undefined ? undefined : durationMs(maxAge);
  if (maxAge !== undefined && maxAgeMs === undefined)
    throw new GuardianError('controlplane.retention', `maxAge ${JSON.stringify(maxAge)} is no duration`, {
      hint: 'Write it like 720h or 36h30m.',
    });
  return { maxBackups, maxAgeMs };
}

/** Bases that a capture takes carry no scope; they are of whoever captures into this place. */
function isAllOurs({ keep, remove }: RetentionPlan, scope: string): boolean {
  return [...keep, ...remove].every(({ backup }) => {
    if (backup.state === 'damaged') return true;
    const owner = backup.manifest.labels?.[SCOPE_LABEL];
    return owner === scope || (owner === undefined && backup.manifest.requester === undefined);
  });
}

function applied(
  removed: readonly string[],
  isTrimmed: (chain: string, revision: bigint) => boolean = () => false,
): Applied {
  const ids = new Set(removed);
  return { removed: ids, isLost: (chain, revision) => ids.has(chain) || isTrimmed(chain, revision) };
}
