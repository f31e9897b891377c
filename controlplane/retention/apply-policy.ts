import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { BackupPlace, SoundBackup } from '../../lib/repository/backup-entry.ts';
import { revisionOf } from '../../lib/repository/point-spans.ts';
import type { RetentionPolicy, Repository, RetentionPlan } from '../../lib/repository/repository.ts';
import { isGoodBase } from '../../lib/repository/timeline-content.ts';
import type { TrimState } from '../../lib/repository/trim-state.ts';
import { retentionScope, SCOPE_LABEL } from '../backup/backup-labels.ts';
import { durationMs } from './duration.ts';

/** What a policy removed. */
export interface Applied {
  /** Ids of backups that are removed now. */
  readonly removed: ReadonlySet<string>;
  /**
   * Whether a point of the same cluster was removed, now or before, by trusted word alone: of what is only missing the
   * resource that names it is the last witness. Changes outlive the base that their chain began with, and a later base
   * may stand under an increment.
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
    return applied(repository, { cluster, remove, keep, bases: [], signal });
  }
  const whole = await repository.planRetention(cluster, limits, { signal });
  const policy = isAllOurs(whole, scope) ? limits : own;
  const plan = await repository.applyRetention(cluster, policy, request, { signal });
  const all = [...whole.keep, ...whole.remove].map(({ backup }) => backup);
  return applied(repository, { cluster, ...plan, bases: all.filter(isGoodBase), signal });
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
  /** What can stand under increments, whoever's it is, before anything was removed. */
  readonly bases: readonly SoundBackup[];
  readonly signal: AbortSignal;
}

function applied(repository: Repository, { cluster, remove, keep, bases, signal }: Decided): Applied {
  const removed = new Set(remove.map(({ backup }) => backup.id));
  const standing = bases
    .filter(({ id }) => !removed.has(id))
    .sort((a, b) => (revisionOf(a) < revisionOf(b) ? -1 : 1));
  const stands = new Set([...keep.map(({ backup }) => backup), ...standing].map(({ id }) => id));
  const removals = new Map<string, boolean>();
  const isBackupRemoved = async (place: BackupPlace): Promise<boolean> => {
    if (removed.has(place.id) || stands.has(place.id)) return removed.has(place.id);
    const known = removals.get(place.id);
    if (known !== undefined) return known;
    const isRemoved = (await repository.removalOf(place, { signal })) !== undefined;
    removals.set(place.id, isRemoved);
    return isRemoved;
  };
  const trims = new Map<string, TrimState>();
  const trimsOf = async (place: BackupPlace): Promise<TrimState> => {
    const state = trims.get(place.id) ?? (await repository.points.trims(place, { signal }));
    trims.set(place.id, state);
    return state;
  };
  return {
    removed,
    isRemoved: async ({ restorePoint, effectiveMode }) => {
      const { timeline, chain, revision } = restorePoint ?? {};
      if (timeline === undefined || chain === undefined || revision === undefined) return false;
      const place = { cluster, timeline, id: chain };
      if (effectiveMode !== 'Incremental') return await isBackupRemoved(place);
      const upTo = BigInt(revision);
      const base = standing.findLast((one) => one.timeline === timeline && revisionOf(one) <= upTo);
      if (base === undefined && (await isBackupRemoved(place))) return true;
      const after = base === undefined ? 0n : revisionOf(base);
      const { trimmed } = await trimsOf(place);
      return after < upTo && trimmed.some(({ from, to }) => from < upTo && to > after);
    },
  };
}
