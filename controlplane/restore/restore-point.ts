import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdRestoreSpec } from '../../lib/kubernetes/api/etcd-restore-spec.ts';
import type { PointQuery } from '../../lib/repository/choose-point.ts';
import type { RestorePoint } from '../../lib/repository/points.ts';
import type { Repository, SoundBackup } from '../../lib/repository/repository.ts';
import { mergedSource } from '../../lib/restore/merged-source.ts';
import type { PointFacts } from '../../lib/restore/cluster/cluster-plan.ts';
import type { SnapshotPlace } from '../backup/snapshot-location.ts';

/** The point that is meant, and the backup that it builds on. */
export interface FoundPoint {
  readonly facts: PointFacts;
  readonly backup: SoundBackup;
}

/**
 * Finds the point in the store. Full: the very place. Incremental: the newest point of its timeline. PointInTime: the
 * revision, or the last one up to the time, on its timeline. Rejects as `Repository` and `RestorePoints.find` do, and with
 * `encryption.key-missing`.
 */
export async function findPoint(
  repository: Repository,
  { cluster, timeline, chain, revision }: SnapshotPlace,
  spec: Pick<EtcdRestoreSpec, 'restoreMode' | 'targetRevision' | 'targetTime'>,
  hasKey: boolean,
  signal: AbortSignal,
): Promise<FoundPoint> {
  const query = queryOf(spec, revision);
  const highWater = await repository.highWater(cluster, { signal });
  const found =
    query === undefined
      ? await baseAlone(repository, cluster, chain, signal)
      : await repository.points.find(cluster, query, { timeline, signal });
  requireKey(found.base, hasKey);
  const { base, segments } = found;
  const { snapshot, etcd } = base.manifest;
  const isBase = segments.length === 0;
  return {
    backup: base,
    facts: {
      ...{ cluster, timeline: base.timeline, chain: base.id, highWater },
      revision: isBase ? snapshot.currentRevision : found.revision,
      time: found.seenAt,
      versions: { storageVersion: etcd.storageVersion, clusterVersion: etcd.clusterVersion },
      bytes: isBase ? snapshot.totalSize : mergedSource(repository, repository.segments, found).size,
      label: isBase
        ? `backup ${base.id} in ${repository.location}`
        : `backup ${base.id} and ${segments.length} segments in ${repository.location}`,
    },
  };
}

type Found = Pick<RestorePoint, 'base' | 'segments' | 'revision' | 'seenAt'>;

async function baseAlone(
  repository: Repository,
  cluster: string,
  chain: string,
  signal: AbortSignal,
): Promise<Found> {
  const { backup: base } = await repository.find(cluster, chain, { signal });
  const { snapshot, completedAt } = base.manifest;
  return { base, segments: [], revision: snapshot.currentRevision, seenAt: completedAt };
}

/** Undefined: the base itself. */
function queryOf(
  {
    restoreMode,
    targetRevision,
    targetTime,
  }: Pick<EtcdRestoreSpec, 'restoreMode' | 'targetRevision' | 'targetTime'>,
  revision: bigint | undefined,
): PointQuery | undefined {
  if (restoreMode === 'Incremental') return { kind: 'latest' };
  if (restoreMode === 'PointInTime') {
    if (targetRevision !== undefined) return { kind: 'revision', revision: BigInt(targetRevision) };
    return { kind: 'time', time: new Date(targetTime ?? '') };
  }
  return revision === undefined ? undefined : { kind: 'revision', revision };
}

function requireKey({ id, manifest }: SoundBackup, hasKey: boolean): void {
  const recipients = manifest.base.recipients.map((recipient) => recipient.id);
  if (recipients.length === 0 || hasKey) return;
  throw new GuardianError('encryption.key-missing', `backup ${id} is encrypted, and no key is given`, {
    hint: `Name the Secret with one of its keys (${recipients.join(', ')}) in encryption.encryptionSecret.`,
  });
}
