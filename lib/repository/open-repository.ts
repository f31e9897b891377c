import { GuardianError } from '../guardian-error.ts';
import { planFor, trimsIn } from './apply-retention.ts';
import type { SegmentLog } from './chain.ts';
import { readContent } from './content.ts';
import { clusterHighWater } from './high-water.ts';
import { attachmentName, checkClusterName, CLUSTERS } from './layout.ts';
import { findBackup, listBackups } from './list-backups.ts';
import { joinRestore } from './join-restore.ts';
import { listFolders } from './list-folders.ts';
import { checkMarker, ensureMarker } from './marker.ts';
import { markRemoval, removalOf, type RemovalState } from './removals.ts';
import type {
  BackupPlace,
  CallOptions,
  Removal,
  RemovalRequest,
  Repository,
  RepositorySettings,
  RetentionPlan,
  RetentionPolicy,
  Timeline,
  TimelineRequest,
} from './repository.ts';
import { openNamespaceBackups } from './open-namespace-backups.ts';
import { readRestores } from './restores.ts';
import { restorePoints } from './restore-points.ts';
import { segmentLog } from './segment-log.ts';
import { sweep } from './sweep.ts';
import { beginTimelineAfter, listTimelines, newestTimeline } from './timelines.ts';
import { markTrim } from './trims.ts';
import { verifyBackup } from './verify-backup.ts';
import { verifyChain } from './verify-chain.ts';
import { beginBackup } from './write-backup.ts';

/**
 * Opens what a store holds; writes nothing, and takes an empty store for an empty repository. Rejects with
 * `repository.format` when a newer program made it.
 */
export async function openRepository(
  settings: RepositorySettings,
  { signal }: CallOptions = {},
): Promise<Repository> {
  await checkMarker(settings, signal);
  const segments = segmentLog(settings);
  const readBase: Repository['readBase'] = (backup, options = {}) =>
    readContent(settings, backup, backup.manifest.base, options);
  return {
    location: settings.store.location,
    segments,
    namespaces: openNamespaceBackups(settings),
    points: restorePoints(settings, segments),
    beginBackup: (request, options) => beginBackup(settings, request, options),
    beginTimeline: (request, options = {}) => beginTimeline(settings, request, options),
    listClusters: (options = {}) => listClusters(settings, options),
    listTimelines: (cluster, options = {}) => {
      checkClusterName(cluster);
      return listTimelines(settings, cluster, options.signal);
    },
    highWater: (cluster, options = {}) => {
      checkClusterName(cluster);
      return clusterHighWater(settings, cluster, options.signal);
    },
    joinRestore: (request, options) => joinRestore(settings, request, options),
    listRestores: (cluster, options = {}) => {
      checkClusterName(cluster);
      return readRestores(settings, cluster, options.signal);
    },
    listBackups: (cluster, options) => listBackups(settings, cluster, options),
    find: (cluster, which, options) => findBackup(settings, cluster, which, options),
    removalOf: async (place, options = {}) => (await removalOf(settings, place, options.signal)).removal,
    readBase,
    readAttachment: (backup, name, options = {}) => {
      const wanted = attachmentName(backup, name);
      const content = backup.manifest.attachments.find((attachment) => attachment.name === wanted);
      if (content !== undefined) return readContent(settings, backup, content, options);
      throw new GuardianError('repository.not-found', `backup ${backup.id} has no attachment ${name}`);
    },
    verifyChain: (chain, options) =>
      verifyChain({ settings, log: segments, repository: { readBase } }, chain, options),
    verifyBackup: (backup, options) => verifyBackup(settings, backup, options),
    removeBackup: (backup, request, options = {}) => removeBackup(settings, backup, request, options),
    undeleteBackup: (backup, request, options = {}) => undeleteBackup(settings, backup, request, options),
    planRetention: (cluster, policy, options = {}) => planFor(settings, segments, cluster, policy, options),
    applyRetention: (cluster, policy, request, options = {}) =>
      applyRetention(settings, segments, cluster, policy, request, options),
    sweep: (options) => sweep(settings, options),
  };
}

async function beginTimeline(
  settings: RepositorySettings,
  request: TimelineRequest,
  { signal }: CallOptions,
): Promise<Timeline> {
  checkClusterName(request.cluster);
  await ensureMarker(settings, signal);
  for (;;) {
    const newest = await newestTimeline(settings, request.cluster, signal);
    const begun = await beginTimelineAfter(settings, request, newest?.timeline, signal);
    if (begun !== undefined) return begun;
  }
}

async function listClusters({ store }: RepositorySettings, { signal }: CallOptions): Promise<string[]> {
  const clusters: string[] = [];
  for await (const cluster of listFolders(store, CLUSTERS, signal)) clusters.push(cluster);
  return clusters;
}

async function removeBackup(
  settings: RepositorySettings,
  place: BackupPlace,
  request: RemovalRequest,
  { signal }: CallOptions,
): Promise<Removal> {
  const isThere = ({ removal }: RemovalState): boolean => removal === undefined;
  const marked = await markRemoval(settings, place, 'remove', request, isThere, signal);
  const { removal } = marked ?? (await removalOf(settings, place, signal));
  if (removal !== undefined) return removal;
  throw new GuardianError('repository.contended', `others keep removing and undeleting backup ${place.id}`, {
    retryable: true,
  });
}

async function undeleteBackup(
  settings: RepositorySettings,
  place: BackupPlace,
  request: RemovalRequest,
  { signal }: CallOptions,
): Promise<void> {
  const canBeHad = ({ removal }: RemovalState): boolean => removal?.swept === false;
  if ((await markRemoval(settings, place, 'undelete', request, canBeHad, signal)) !== undefined) return;
  const { removal } = await removalOf(settings, place, signal);
  if (removal === undefined) return;
  throw new GuardianError(
    'repository.grace-over',
    `backup ${place.id} can't be had back: its data is being deleted`,
    {
      hint: 'Use another backup; a versioned bucket may still hold the deleted objects.',
    },
  );
}

async function applyRetention(
  settings: RepositorySettings,
  segments: SegmentLog,
  cluster: string,
  policy: RetentionPolicy,
  request: RemovalRequest,
  options: CallOptions,
): Promise<RetentionPlan> {
  const plan = await planFor(settings, segments, cluster, policy, options);
  for (const { chain, ranges } of trimsIn(plan)) {
    await markTrim(
      settings,
      chain,
      { action: 'trim', ranges },
      { reason: 'retention', ...request },
      options.signal,
    );
  }
  for (const { backup, reason } of plan.remove) {
    await removeBackup(settings, backup, { reason, ...request }, options);
  }
  return plan;
}
