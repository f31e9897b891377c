import { rm } from 'node:fs/promises';
import { openBoltFile } from '../etcd/bolt/reader.ts';
import { changesOf, historyOf, type KeyChange } from '../etcd/mvcc/history.ts';
import type { CallOptions } from './call-options.ts';
import type { SegmentLog, StoredSegment } from './chain.ts';
import { fetchBase, type FetchOptions } from './fetch-base.ts';
import type { RestorableRange } from './point-spans.ts';
import { SegmentsBetween } from './read-segments.ts';
import type { Repository, SoundBackup } from './repository.ts';
import { TimeMap } from './time-map.ts';

/** A change that a capture saw. */
export interface CapturedChange extends KeyChange {
  /** When everything up to its revision had been seen. */
  readonly seenAt: Date;
}

/**
 * Every change of one key that was captured in a range, the oldest first; those before the range's first base, too, as
 * far as its first segment holds them. Reads every segment of the range: they have no index by key. Rejects as
 * `SegmentLog.read` does.
 */
export async function* capturedChanges(
  log: Pick<SegmentLog, 'list' | 'read'>,
  place: { readonly cluster: string; readonly timeline: string },
  range: RestorableRange,
  key: Buffer,
  options: CallOptions = {},
): AsyncGenerator<CapturedChange, void> {
  const [first] = range.segments;
  if (first === undefined) return;
  const read: { readonly to: bigint; readonly times: TimeMap }[] = [];
  const segments = async function* (): AsyncGenerator<StoredSegment, void> {
    for await (const segment of segmentsOf(log, place, range, options)) {
      read.push({ to: segment.head.to, times: new TimeMap(segment.head) });
      yield segment;
    }
  };
  const between = new SegmentsBetween(log, place, first.from, range.to.revision);
  const where = `the segments of timeline ${place.timeline}`;
  for await (const change of changesOf(between.entries(segments(), options), key, where)) {
    while ((read[0]?.to ?? change.main) < change.main) read.shift();
    yield { ...change, seenAt: read[0]?.times.seenAt(change.main) ?? range.to.seenAt };
  }
}

/**
 * Every change of one key that a base still holds, the oldest first: its last one before the base's compaction, where
 * the key was alive then, and all since. Fetches the base to `path`, verified, and removes it again; needs room for the
 * whole database. Rejects as `fetchBase` does.
 */
export async function* changesInBase(
  repository: Pick<Repository, 'readBase'>,
  base: SoundBackup,
  key: Buffer,
  path: string,
  options: FetchOptions = {},
): AsyncGenerator<KeyChange, void> {
  try {
    await fetchBase(repository, base, path, options);
    await using file = await openBoltFile(path);
    yield* historyOf(file, key, options);
  } finally {
    await rm(path, { force: true });
  }
}

/** The range's segments with their heads, in order. */
async function* segmentsOf(
  log: Pick<SegmentLog, 'list'>,
  { cluster, timeline }: { readonly cluster: string; readonly timeline: string },
  { segments }: RestorableRange,
  { signal }: CallOptions,
): AsyncGenerator<StoredSegment, void> {
  const wanted = new Set(segments.map(({ name }) => name));
  for (let index = 0; index < segments.length;) {
    const start = segments[index];
    if (start === undefined) return;
    const end = segments.findIndex(({ chain }, at) => at > index && chain !== start.chain);
    const last = segments[end < 0 ? segments.length - 1 : end - 1];
    for await (const listed of log.list(
      { cluster, timeline, id: start.chain },
      { after: start.from, signal },
    )) {
      if (listed.state === 'sound' && wanted.has(listed.name)) yield listed;
      if (listed.name === last?.name) break;
    }
    index = end < 0 ? segments.length : end;
  }
}
