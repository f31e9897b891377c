import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { BackupPlace } from '../../lib/repository/backup-entry.ts';
import type { RetentionPolicy, Repository, RetentionPlan } from '../../lib/repository/repository.ts';
import type { TrimState } from '../../lib/repository/trim-state.ts';
import { retentionScope, SCOPE_LABEL } from '../backup/backup-labels.ts';
import { durationMs } from './duration.ts';

/** What a policy removed. */
export interface Applied {
  /** Ids of backups that are removed now. */
  readonly removed: ReadonlySet<string>;
  /**
   * Whether a point of the same cluster was removed, now or before, by trusted word alone: of what is only missing the
   * resource that names it is the last witness.
   */
  readonly isRemoved: (made: Made) => Promise<boolean>;
}

type Made = Pick<EtcdBackupStatus, 'restorePoint' | 'effectiveMode'>;

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
    const { remove, keep } = await repository.namespaces.applyRetention(cluster, own, request, { signal });
    return applied(repository, { cluster, remove, keep, signal });
  }
  const whole = await repository.planRetention(cluster, limits, { signal });
  const policy = isAllOurs(whole, scope) ? limits : own;
  const plan = await repository.applyRetention(cluster, policy, request, { signal });
  return applied(repository, { cluster, ...plan, signal });
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

interface Decided {
  readonly cluster: string;
  readonly remove: readonly { readonly backup: BackupPlace }[];
  readonly keep: readonly { readonly backup: BackupPlace }[];
  readonly signal: AbortSignal;
}

function applied(repository: Repository, { cluster, remove, keep, signal }: Decided): Applied {
  const removed = new Set(remove.map(({ backup }) => backup.id));
  const kept = new Set(keep.map(({ backup }) => backup.id));
  const isBaseRemoved = async (place: BackupPlace): Promise<boolean> =>
    removed.has(place.id) ||
    (!kept.has(place.id) && (await repository.removalOf(place, { signal })) !== undefined);
  const trims = new Map<string, Promise<TrimState>>();
  const trimsOf = (place: BackupPlace): Promise<TrimState> => {
    const asked = trims.get(place.id) ?? repository.points.trims(place, { signal });
    trims.set(place.id, asked);
    return asked;
  };
  return {
    removed,
    isRemoved: async ({ restorePoint, effectiveMode }) => {
      const { timeline, chain, revision } = restorePoint ?? {};
      if (timeline === undefined || chain === undefined || revision === undefined) return false;
      const place = { cluster, timeline, id: chain };
      if (await isBaseRemoved(place)) return true;
      if (effectiveMode !== 'Incremental') return false;
      const { trimmed } = await trimsOf(place);
      return trimmed.some(({ from }) => from < BigInt(revision));
    },
  };
}
