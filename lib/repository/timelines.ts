import { z } from 'zod';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { encodeDocument, FORMAT_VERSION, readDocument } from './document.ts';
import { timelineId, timelineName, timelinesFolder } from './layout.ts';
import { listFolders } from './list-folders.ts';
import { misplaced } from './misplaced.ts';
import type { RepositorySettings, Timeline, TimelineEntry, TimelineRequest } from './repository.ts';
import { hex64, instant, words } from './wire.ts';

/** Names where a timeline comes from; written once, when it begins. */
export const timelineDocument = {
  payloadType: 'application/vnd.etcdguardian.timeline+json',
  schema: z.object({
    formatVersion: z.literal(FORMAT_VERSION),
    cluster: z.string(),
    timeline: z.string(),
    etcdClusterId: hex64,
    begunAt: instant,
    reason: z.enum(['first', 'restored', 'cluster-id-changed', 'revision-went-back', 'history-differs']),
    /** The timeline that was the newest one before. */
    predecessor: z.string().optional(),
    tool: words,
  }),
};

/** All timelines of a cluster, newest first; what can't be read or trusted is told with the reason. */
export async function listTimelines(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<TimelineEntry[]> {
  const entries: TimelineEntry[] = [];
  for (const timeline of await timelineNames(settings, cluster, signal)) {
    entries.push(await readEntry(settings, cluster, timeline, signal));
  }
  return entries;
}

/** The newest one that can be trusted. */
export async function newestTimeline(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<Timeline | undefined> {
  for (const timeline of await timelineNames(settings, cluster, signal)) {
    const entry = await readEntry(settings, cluster, timeline, signal);
    if (entry.state === 'sound') return entry;
  }
  return undefined;
}

async function timelineNames(
  { store }: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const names: string[] = [];
  for await (const name of listFolders(store, timelinesFolder(cluster), signal)) {
    if (/^[0-9]{6}$/.test(name)) names.push(name);
  }
  return names.reverse();
}

export async function readTimeline(
  { store, verifier }: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<Timeline> {
  const name = timelineName(cluster, timeline);
  const { value } = await readDocument(store, timelineDocument, name, verifier, signal);
  if (value.cluster !== cluster || value.timeline !== timeline) {
    throw misplaced(name, timelineName(value.cluster, value.timeline));
  }
  const { etcdClusterId, begunAt, reason, predecessor } = value;
  return { cluster, timeline, etcdClusterId, begunAt, reason, predecessor };
}

/**
 * Writes the next timeline after `predecessor`. Resolves to undefined when someone else has begun one meanwhile: look
 * again. Numbers taken by documents that can't be trusted are passed over, so that nobody can block the next one.
 */
export async function beginTimelineAfter(
  settings: RepositorySettings,
  request: TimelineRequest,
  predecessor: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Timeline | undefined> {
  const { cluster, etcdClusterId, reason } = request;
  const begunAt = settings.clock();
  for (let number = Number(predecessor ?? 0) + 1; number <= LAST_TIMELINE; number++) {
    const timeline = timelineId(number);
    const begun = { cluster, timeline, etcdClusterId, begunAt, reason, predecessor };
    const document = { formatVersion: FORMAT_VERSION, ...begun, tool: settings.tool };
    const bytes = encodeDocument(timelineDocument, document, settings.signer);
    try {
      await settings.store.putIfAbsent(timelineName(cluster, timeline), bytes, { signal });
      return begun;
    } catch (error) {
      if (!hasCode(error, 'store.exists')) throw error;
    }
    if ((await readEntry(settings, cluster, timeline, signal)).state === 'sound') return undefined;
  }
  throw new GuardianError(
    'repository.timelines-exhausted',
    `cluster ${cluster} has no number left for a timeline`,
    {
      hint: 'Is one name used for two clusters? Give each its own with --cluster NAME, and another prefix of the store.',
    },
  );
}

const LAST_TIMELINE = 999_999;

async function readEntry(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<TimelineEntry> {
  try {
    return { state: 'sound', ...(await readTimeline(settings, cluster, timeline, signal)) };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    return { state: 'damaged', cluster, timeline, problem: error };
  }
}
