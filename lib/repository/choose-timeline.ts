import { GuardianError } from '../guardian-error.ts';
import { capturedUpTo, readHighWater } from './high-water.ts';
import { checkClusterName } from './layout.ts';
import { newestOnTimeline, newestSound } from './list-backups.ts';
import type { Anchor } from './manifest.ts';
import { ensureMarker } from './marker.ts';
import { requireEncryption, requireKnownSigner } from './other-keys.ts';
import { breakOfHistory, type TimelineReason } from './pick-timeline.ts';
import type { BackupRequest, RepositorySettings, Timeline } from './repository.ts';
import { wasRestoredAs } from './restores.ts';
import { beginTimelineAfter, newestTimeline } from './timelines.ts';

export interface ChosenTimeline {
  readonly known: KnownTimeline;
  /** Why a new one was begun; undefined when an older one goes on. */
  readonly reason: TimelineReason | undefined;
}

/** A timeline, and what is known of its history when a backup begins. */
export interface KnownTimeline extends Timeline {
  readonly highWater: bigint;
  readonly anchors: readonly Anchor[];
  readonly warnings: readonly GuardianError[];
}

/** The timeline that a backup made now stands on: the newest, or a new one where history doesn't continue. */
export async function chooseTimeline(
  settings: RepositorySettings,
  request: BackupRequest,
  signal: AbortSignal | undefined,
): Promise<ChosenTimeline> {
  checkClusterName(request.cluster);
  await ensureMarker(settings, signal);
  await requireEncryption(settings, request.cluster, signal);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const newest = await newestTimeline(settings, request.cluster, signal);
    if (newest === undefined) await requireKnownSigner(settings, request.cluster, signal);
    const known = newest && (await historyOf(settings, newest, signal));
    if (request.onTimeline !== undefined) {
      if (known === undefined || !continues(known, request)) throw otherTimeline(request, newest);
      return { known, reason: undefined };
    }
    const broken = known === undefined ? 'first' : await breakSince(settings, known, request, signal);
    const reason = await explained(settings, request, broken, signal);
    if (known !== undefined && reason === undefined) return { known, reason: undefined };
    const begin = {
      cluster: request.cluster,
      etcdClusterId: request.etcdClusterId,
      reason: reason ?? 'first',
    };
    const begun = await beginTimelineAfter(settings, begin, newest?.timeline, signal);
    const fresh = begun && { ...begun, highWater: 0n, anchors: [], warnings: known?.warnings ?? [] };
    if (fresh !== undefined) return { known: fresh, reason };
  }
  throw new GuardianError(
    'repository.contended',
    `others keep beginning timelines of cluster ${request.cluster} in ${settings.store.location}`,
    { hint: 'Is one name used for two clusters? Give each its own with --cluster NAME.', retryable: true },
  );
}

const MOST_ATTEMPTS = 10;

function continues(newest: Timeline, { onTimeline, etcdClusterId }: BackupRequest): boolean {
  return newest.timeline === onTimeline && newest.etcdClusterId === etcdClusterId;
}

function otherTimeline({ cluster, onTimeline }: BackupRequest, newest: Timeline | undefined): GuardianError {
  return new GuardianError(
    'repository.other-timeline',
    `timeline ${onTimeline} of cluster ${cluster} is not the one that goes on: that is ${newest?.timeline ?? 'none'}`,
    { hint: 'Nothing is added to a timeline that ended: what stands on it can be restored as it is.' },
  );
}

/** Why the cluster isn't on this timeline any more, by what it shows; also when it is behind what was captured of it. */
async function breakSince(
  settings: RepositorySettings,
  known: KnownTimeline,
  request: BackupRequest,
  signal: AbortSignal | undefined,
): Promise<TimelineReason | undefined> {
  const broken = breakOfHistory(known, request);
  if (
    broken !== undefined &&
    (broken !== 'revision-went-back' || !(await isAhead(known.highWater, request, signal)))
  )
    return broken;
  if (request.latestRevision === undefined) return undefined;
  const captured = await capturedUpTo(settings, known.cluster, known.timeline, signal);
  const isBehind = captured > request.clusterRevision && (await isAhead(captured, request, signal)) === false;
  return isBehind ? 'revision-went-back' : undefined;
}

/** Whether the cluster has reached a revision by now, which others may have stored meanwhile; undefined: nobody knows. */
async function isAhead(
  revision: bigint,
  { latestRevision }: BackupRequest,
  signal: AbortSignal | undefined,
): Promise<boolean | undefined> {
  if (latestRevision === undefined) return undefined;
  try {
    return revision <= (await latestRevision());
  } catch (error) {
    signal?.throwIfAborted();
    // Without a leader nobody knows the revision, and a backup matters all the more.
    if (!(error instanceof GuardianError)) throw error;
    return undefined;
  }
}

/** Another cluster id is what a restore gives; the record of one tells it from a cluster that was built anew. */
async function explained(
  settings: RepositorySettings,
  { cluster, etcdClusterId }: BackupRequest,
  reason: TimelineReason | undefined,
  signal: AbortSignal | undefined,
): Promise<TimelineReason | undefined> {
  if (reason !== 'cluster-id-changed') return reason;
  return (await wasRestoredAs(settings, cluster, etcdClusterId, signal)) ? 'restored' : reason;
}

async function historyOf(
  settings: RepositorySettings,
  timeline: Timeline,
  signal: AbortSignal | undefined,
): Promise<KnownTimeline> {
  const { revision, problems } = await readHighWater(settings, timeline.cluster, timeline.timeline, signal);
  const newest = newestSound(await newestOnTimeline(settings, timeline, BACKUPS_TO_ASK, signal));
  const backedUp = newest?.manifest.snapshot.currentRevision ?? 0n;
  const highWater = backedUp > revision ? backedUp : revision;
  return { ...timeline, highWater, anchors: newest?.manifest.anchors ?? [], warnings: problems };
}

/** Enough that one of them is sound, few enough to be read quickly. */
const BACKUPS_TO_ASK = 8;
