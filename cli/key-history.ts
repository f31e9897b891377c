import type { Buffer } from 'node:buffer';
import { join } from 'node:path';
import type { KeyChange } from '../lib/etcd/mvcc/history.ts';
import { capturedChanges, changesInBase } from '../lib/repository/key-history.ts';
import type { Hole, RestorableRange } from '../lib/repository/point-spans.ts';
import type { Repository } from '../lib/repository/repository.ts';
import type { TimelinePoints } from '../lib/repository/points.ts';
import { scratchFolder } from '../lib/repository/scratch-folder.ts';
import { type KeyVersion, putVersion, whatHappened } from './key-versions-text.ts';
import { counted } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import { diskFolder } from './spool-options.ts';

/** What is known of one key. */
export interface KeyHistory {
  /** Oldest first. */
  readonly versions: readonly KeyVersion[];
  /** How many older ones were left out. */
  readonly left: number;
  /** Where changes may have happened that nobody saw; oldest first. */
  readonly holes: readonly Hole[];
  /** False when a base that may know more was not looked into. */
  readonly complete: boolean;
}

export interface HistoryOptions {
  /** Nothing later is of interest. */
  readonly at: Date | undefined;
  readonly limit: number;
  readonly keepValues: boolean;
  /** Whether bases may be fetched. */
  readonly bases: boolean;
  readonly workDir: string | undefined;
  readonly progress: ProgressLine;
  readonly signal: AbortSignal;
}

/** Gathers what the segments and, where they don't reach back far enough, the bases of a timeline hold of a key. */
export async function collectHistory(
  repository: Repository,
  cluster: string,
  { timeline: { timeline }, spans }: TimelinePoints,
  key: Buffer,
  options: HistoryOptions,
): Promise<KeyHistory> {
  const { at, bases, progress, signal } = options;
  const place = { cluster, timeline };
  const versions = new Versions(options);
  const oldestFirst = spans.toReversed();
  const holes = oldestFirst.filter((span) => span.kind === 'hole');
  let complete = true;
  for (const range of oldestFirst.filter((span) => span.kind === 'range')) {
    if (at !== undefined && range.from.seenAt > at) break;
    const captured = new Versions(options);
    progress.say(`looking through ${counted(range.segments.length, 'segment')} of timeline ${timeline}`);
    for await (const change of capturedChanges(repository.segments, place, range, key, { signal })) {
      captured.add(change, { seenAt: change.seenAt, knownBy: undefined });
    }
    if (!captured.startsWithCreation) {
      if (bases) await lookIntoBase(repository, range, key, versions, captured, options);
      else complete = false;
    }
    versions.addAll(captured);
  }
  return { ...versions.newest(), holes, complete };
}

/** The range's first base: what was before its segments. */
async function lookIntoBase(
  repository: Repository,
  range: RestorableRange,
  key: Buffer,
  versions: Versions,
  captured: Versions,
  { workDir, progress, signal }: HistoryOptions,
): Promise<void> {
  const [base] = range.bases;
  if (base === undefined) return;
  await using folder = await scratchFolder(workDir ?? (await diskFolder()), 'history');
  const path = join(folder.path, 'base.db');
  const label = `fetching backup ${base.id}`;
  const known = { seenAt: undefined, knownBy: base.manifest.completedAt };
  const changes = changesInBase(repository, base, key, path, {
    signal,
    onProgress: (done, total) => {
      progress.update({ label, done, total });
    },
  });
  for await (const change of changes) {
    if (captured.first === undefined || change.main < captured.first) versions.add(change, known);
  }
}

/** Versions in order, as many as are wanted. */
class Versions {
  readonly #options: Pick<HistoryOptions, 'limit' | 'keepValues'>;
  #kept: KeyVersion[] = [];
  #left = 0;
  #last: bigint | undefined;
  #value: Buffer | undefined;
  /** Main revision of the first one that was added. */
  first: bigint | undefined;
  /** True when what was there before the first one is known: nothing. */
  startsWithCreation = false;

  constructor(options: Pick<HistoryOptions, 'limit' | 'keepValues'>) {
    this.#options = options;
  }

  add({ main, put }: KeyChange, known: Pick<KeyVersion, 'seenAt' | 'knownBy'>): void {
    // A base and the one before it, or segments, may tell the same.
    if (this.#last !== undefined && main <= this.#last) return;
    const what = whatHappened(put, this.#value);
    if (this.first === undefined) {
      this.first = main;
      this.startsWithCreation = what === 'created';
    }
    this.#last = main;
    this.#value = put?.value;
    this.#keep({ revision: main, ...known, what, put: put && putVersion(put, this.#options.keepValues) });
  }

  /** Takes over what others hold and this one doesn't. */
  addAll(others: Versions): void {
    this.#left += others.#left;
    for (const version of others.#kept) {
      if (this.#last !== undefined && version.revision <= this.#last) continue;
      this.first ??= version.revision;
      this.#last = version.revision;
      this.#keep(version);
    }
  }

  newest(): Pick<KeyHistory, 'versions' | 'left'> {
    return { versions: this.#kept, left: this.#left };
  }

  #keep(version: KeyVersion): void {
    this.#kept.push(version);
    if (this.#kept.length <= this.#options.limit) return;
    this.#kept.shift();
    this.#left++;
  }
}
