import type { FileVersions } from '../../lib/etcd/datadir/version-rules.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { Repository, SoundBackup } from '../../lib/repository/repository.ts';
import { mergedSource, type MergedSource } from '../../lib/restore/merged-source.ts';
import type { SnapshotSource } from '../../lib/restore/snapshot-source.ts';

/** A point that was decided on elsewhere. */
export interface DecidedPoint {
  readonly cluster: string;
  readonly timeline: string;
  /** The id of the base that it was found on. */
  readonly chain: string;
  readonly revision: bigint;
}

export interface PointSource {
  readonly source: SnapshotSource | MergedSource;
  /** Of the etcd that wrote it. */
  readonly versions: FileVersions;
}

/**
 * What makes a point: its base alone where that is the point, else the base and what was captured behind it. Rejects as
 * `Repository` does, and with `restore.point` where the store has another backup by that name now.
 */
export async function pointSource(
  repository: Repository,
  { cluster, timeline, chain, revision }: DecidedPoint,
  signal: AbortSignal,
): Promise<PointSource> {
  const { backup } = await repository.find(cluster, chain, { signal });
  if (backup.timeline !== timeline) {
    throw new GuardianError(
      'restore.point',
      `backup ${chain} is of timeline ${backup.timeline}, not ${timeline}`,
      { hint: 'The plan was made from another store: restore again.' },
    );
  }
  if (backup.manifest.snapshot.currentRevision === revision)
    return { source: baseSource(repository, backup), versions: versionsOf(backup) };
  const point = await repository.points.find(cluster, { kind: 'revision', revision }, { timeline, signal });
  const source =
    point.segments.length === 0
      ? baseSource(repository, point.base)
      : mergedSource(repository, repository.segments, point);
  return { source, versions: versionsOf(point.base) };
}

function versionsOf({ manifest: { etcd } }: SoundBackup): FileVersions {
  return { storageVersion: etcd.storageVersion, clusterVersion: etcd.clusterVersion };
}

function baseSource(repository: Repository, backup: SoundBackup): SnapshotSource {
  const { snapshot } = backup.manifest;
  return {
    label: `backup ${backup.id} from ${repository.location}`,
    open: (signal) => repository.readBase(backup, { signal }),
    size: snapshot.totalSize,
    trailer: 'required',
    expected: {
      sha256: snapshot.sha256,
      currentRevision: snapshot.currentRevision,
      hashKV: snapshot.hashKV.hash,
    },
  };
}
