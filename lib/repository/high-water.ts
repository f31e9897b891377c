import { z } from 'zod';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { endOfChain, segmentedChains } from './chain-tails.ts';
import { encodeDocument, FORMAT_VERSION, readDocument } from './document.ts';
import { highWaterFolder, highWaterName, parseName } from './layout.ts';
import { listBackups } from './list-backups.ts';
import { misplaced } from './misplaced.ts';
import type { RepositorySettings } from './repository.ts';
import { readRestores } from './restores.ts';
import { listTimelines } from './timelines.ts';
import { listTrimMarks, readTrims } from './trims.ts';
import { decimal64, instant, words } from './wire.ts';

/**
 * A revision that a cluster has served on a timeline. Written once each and never deleted, so that the highest one is
 * known even when every backup and every node is gone: a restore must go above it.
 */
export const highWaterDocument = {
  payloadType: 'application/vnd.etcdguardian.high-water+json',
  schema: z.object({
    formatVersion: z.literal(FORMAT_VERSION),
    cluster: z.string(),
    timeline: z.string(),
    revision: decimal64,
    seenAt: instant,
    tool: words,
  }),
};

export async function recordHighWater(
  { store, signer, clock, tool }: RepositorySettings,
  cluster: string,
  timeline: string,
  revision: bigint,
  signal: AbortSignal | undefined,
): Promise<void> {
  const mark = { formatVersion: FORMAT_VERSION, cluster, timeline, revision, seenAt: clock(), tool };
  const bytes = encodeDocument(highWaterDocument, mark, signer);
  try {
    await store.putIfAbsent(highWaterName(cluster, timeline, revision), bytes, { signal });
  } catch (error) {
    if (!hasCode(error, 'store.exists')) throw error;
  }
}

export interface HighWater {
  /** 0n when none is recorded. */
  readonly revision: bigint;
  /** Higher marks that can't be read or trusted, and were passed over. */
  readonly problems: readonly GuardianError[];
}

export async function readHighWater(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<HighWater> {
  const problems: GuardianError[] = [];
  for await (const { name } of settings.store.list(highWaterFolder(cluster, timeline), { signal })) {
    if (parseName(name)?.kind !== 'high-water') continue;
    try {
      return { revision: await readMark(settings, cluster, timeline, name, signal), problems };
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof GuardianError) || error.retryable) throw error;
      if (problems.length < MOST_PROBLEMS) problems.push(error);
    }
  }
  return { revision: 0n, problems };
}

const MOST_PROBLEMS = 20;

/**
 * The highest revision that a cluster is known to have served, on any of its timelines: by its marks, by its backups in
 * case a mark is missing, and by what was captured since, also where that was removed again. A restored cluster that nobody backed up counts by where its restore let it
 * begin. 0n when nothing is known.
 */
export async function clusterHighWater(
  settings: RepositorySettings,
  cluster: string,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  let highest = 0n;
  for (const { timeline } of await listTimelines(settings, cluster, signal)) {
    const { revision } = await readHighWater(settings, cluster, timeline, signal);
    if (revision > highest) highest = revision;
    const captured = await capturedUpTo(settings, cluster, timeline, signal);
    if (captured > highest) highest = captured;
    const trimmed = await trimmedUpTo(settings, cluster, timeline, signal);
    if (trimmed > highest) highest = trimmed;
  }
  for (const entry of await listBackups(settings, cluster, { signal, includeRemoved: true })) {
    const revision = entry.state === 'sound' ? entry.manifest.snapshot.currentRevision : 0n;
    if (revision > highest) highest = revision;
  }
  for (const { bumpTo = 0n } of (await readRestores(settings, cluster, signal)).records) {
    if (bumpTo > highest) highest = bumpTo;
  }
  return highest;
}

/** The end of the last segments that were removed, as trims tell it; 0n where none were, or no trim can be trusted. */
async function trimmedUpTo(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  let highest = 0n;
  for (const marks of (await listTrimMarks(settings, cluster, timeline, signal)).values()) {
    const { trimmed } = await readTrims(settings, marks, signal);
    for (const { to } of trimmed) if (to > highest && to < REVISION_LIMIT) highest = to;
  }
  return highest;
}

/** No etcd counts further: a range that goes beyond tells nothing of revisions. */
const REVISION_LIMIT = 2n ** 53n;

/** The end of the timeline's last segment that can be trusted; 0n without segments. */
export async function capturedUpTo(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  let highest = 0n;
  for (const chain of await segmentedChains(settings, cluster, timeline, signal)) {
    const end = await endOfChain(settings, chain, signal);
    if (end !== undefined && end.tail.revision > highest) highest = end.tail.revision;
  }
  return highest;
}

/** Reads the mark of one revision; rejects with `store.not-found` when there is none. */
export async function checkHighWaterMark(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  revision: bigint,
  signal: AbortSignal | undefined,
): Promise<void> {
  await readMark(settings, cluster, timeline, highWaterName(cluster, timeline, revision), signal);
}

async function readMark(
  { store, verifier }: RepositorySettings,
  cluster: string,
  timeline: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  const { value } = await readDocument(store, highWaterDocument, name, verifier, signal);
  const itself = highWaterName(value.cluster, value.timeline, value.revision);
  if (value.cluster !== cluster || value.timeline !== timeline || itself !== name)
    throw misplaced(name, itself);
  return value.revision;
}
