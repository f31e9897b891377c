import { join } from 'node:path';
import type { SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import type { ChainPlace, ListedSegment, SegmentLog, StoredSegment } from './chain.ts';
import type { ChainReport, MergedRange, VerifyChainOptions } from './chain-report.ts';
import { doubtfulTimes } from './doubtful-times.ts';
import { segmentsFolder, trimsFolder } from './layout.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { type RestorableRange, spansOf } from './point-spans.ts';
import { readStoredSegment } from './read-segment.ts';
import type { Repository, RepositorySettings } from './repository.ts';
import { type DifferingHash, textOf } from './kept-hashes.ts';
import { followsOf, type ListedOutline, outlineOf } from './segment-outline.ts';
import { scratchFolder } from './scratch-folder.ts';
import { readBases } from './timeline-content.ts';
import { trimsOf } from './trims.ts';
import { isTrimmed, type TrimmedSegments } from './trimmed-segments.ts';
import type { VerifyProblem } from './verify-problem.ts';
import { writeRestorePoint } from './write-restore-point.ts';

/** Where a chain and what it needs are read from. */
export interface ChainSources {
  readonly settings: RepositorySettings;
  readonly log: Pick<SegmentLog, 'list' | 'read'>;
  readonly repository: Pick<Repository, 'readBase'>;
}

/**
 * Checks the segments of one chain; what is wrong with them is in the report, not thrown. Rejects when the store can't be
 * read at the moment, when a key is missing, and when there is no room to merge.
 */
export async function verifyChain(
  sources: ChainSources,
  chain: ChainPlace,
  options: VerifyChainOptions,
): Promise<ChainReport> {
  const verification = new ChainVerification(sources, chain, options);
  await verification.documents();
  await verification.segments();
  verification.times();
  const { depth, mergeIn } = options;
  if (depth === 'deep' && mergeIn !== undefined) await verification.merges(mergeIn);
  return verification.report();
}

/** Goes through one chain, collecting what is wrong. */
class ChainVerification {
  readonly #sources: ChainSources;
  readonly #chain: ChainPlace;
  readonly #options: VerifyChainOptions;
  readonly #problems: VerifyProblem[] = [];
  readonly #warnings: VerifyProblem[] = [];
  readonly #outlines: ListedOutline[] = [];
  readonly #merged: MergedRange[] = [];
  #trimmed: readonly TrimmedSegments[] = [];
  #segments = 0;
  #storedBytes = 0;
  #plainBytes = 0;

  constructor(sources: ChainSources, chain: ChainPlace, options: VerifyChainOptions) {
    this.#sources = sources;
    this.#chain = chain;
    this.#options = options;
  }

  async documents(): Promise<void> {
    const { settings } = this.#sources;
    const { trimmed, problems } = await trimsOf(settings, this.#chain, this.#options.signal);
    this.#trimmed = trimmed;
    const object = `${trimsFolder(this.#chain.cluster, this.#chain.timeline)}${this.#chain.id}/`;
    for (const problem of problems) this.#warnings.push(problemOf(problem, object));
  }

  /** Each as listed, which tells links and continuity, and its bytes. */
  async segments(): Promise<void> {
    const total = await this.#storedSize();
    const { log } = this.#sources;
    const listed = log.list(this.#chain, { signal: this.#options.signal });
    const check = async (one: ListedSegment): Promise<Checked> => ({
      listed: one,
      problem: await this.#check(one),
    });
    for await (const { listed: one, problem } of orderedAhead(listed, SEGMENTS_AT_ONCE - 1, check)) {
      const outline = outlineOf(this.#chain.id, one);
      if (isTrimmed(this.#trimmed, followsOf(outline))) continue;
      this.#outlines.push(
        problem === undefined
          ? outline
          : { state: 'broken', chain: this.#chain.id, name: one.name, from: followsOf(outline), problem },
      );
      if (problem !== undefined) {
        this.#problems.push(problemOf(problem, one.name));
        continue;
      }
      if (one.state === 'broken') continue;
      this.#segments++;
      this.#storedBytes += one.size;
      if (this.#options.depth === 'deep') this.#plainBytes += one.head.plainSize;
      this.#options.onProgress?.(this.#storedBytes, total);
    }
  }

  /** Everything behind the first base of each range that the chain's segments make. */
  async merges(parent: string): Promise<void> {
    const { settings } = this.#sources;
    const { cluster, timeline } = this.#chain;
    const { bases } = await readBases(settings, cluster, timeline, this.#options.signal);
    const segments = this.#outlines.toSorted((a, b) => (a.from < b.from ? -1 : 1));
    const spans = spansOf({ cluster, timeline, bases, segments, trimmed: this.#trimmed });
    const ranges = spans.filter((span) => span.kind === 'range' && span.segments.length > 0);
    if (ranges.length === 0 && this.#segments > 0) this.#warnUseless();
    for (const range of ranges) {
      if (range.kind === 'range') await this.#merge(range, parent);
    }
  }

  /** Nothing is wrong with what is stored, but a time means little there. */
  times(): void {
    const segments = this.#outlines.toSorted((a, b) => (a.from < b.from ? -1 : 1));
    for (const doubt of doubtfulTimes({ segments, bases: [] })) {
      const { since, until, after, upTo } = doubt;
      const object = segments.findLast(({ from }) => from <= doubt.step.revision)?.name;
      const which = upTo > after ? `, revisions ${after + 1n} to ${upTo}` : '';
      this.#warnings.push({
        code: 'point.doubtful-time',
        message: `times from ${since.toISOString()} to ${until.toISOString()}${which} are in doubt: a clock of the capture had stepped`,
        object: object ?? segmentsFolder(this.#chain),
        hint: 'Restore by revision there; "points list" tells more.',
      });
    }
  }

  report(): ChainReport {
    return {
      ...this.#chain,
      ...{ depth: this.#options.depth, sound: this.#problems.length === 0 },
      ...{ problems: this.#problems, warnings: this.#warnings },
      ...{ segments: this.#segments, storedBytes: this.#storedBytes, plainBytes: this.#plainBytes },
      merged: this.#merged,
    };
  }

  async #check(listed: ListedSegment): Promise<GuardianError | undefined> {
    if (listed.state === 'broken') return asProblem(listed.problem);
    if (isTrimmed(this.#trimmed, listed.head.base ?? listed.head.from)) return undefined;
    const { settings, log } = this.#sources;
    const { depth, signal } = this.#options;
    try {
      await readToEnd(
        depth === 'deep' ? log.read(listed, { signal }) : readStoredSegment(settings, listed, signal),
      );
      return undefined;
    } catch (error) {
      signal?.throwIfAborted();
      // A damaged segment can look as if it were sealed for others: a key is missing only where the bytes are right.
      if (error instanceof GuardianError && error.code === 'encryption.key-missing') {
        const damaged = await this.#damageOf(listed);
        if (damaged !== undefined) return damaged;
      }
      return asProblem(error);
    }
  }

  async #damageOf(segment: StoredSegment): Promise<GuardianError | undefined> {
    try {
      await readToEnd(readStoredSegment(this.#sources.settings, segment, this.#options.signal));
      return undefined;
    } catch (error) {
      return asProblem(error);
    }
  }

  async #merge(range: RestorableRange, parent: string): Promise<void> {
    const [base, ...later] = range.bases;
    if (base === undefined) return;
    const { signal } = this.#options;
    const { repository, log } = this.#sources;
    await using folder = await scratchFolder(parent, 'verify');
    try {
      const { to, from } = range;
      const parts = { base, segments: this.#soundOnes(range), revision: to.revision };
      const path = join(folder.path, 'merged.db');
      const { verdict, matched, outvoted } = await writeRestorePoint({ repository, log }, parts, path, {
        signal,
      });
      const bases = this.#sameBases(verdict, later);
      for (const hash of outvoted) this.#warnings.push(outvotedHash(hash));
      this.#merged.push({
        base: base.id,
        from: from.revision,
        to: to.revision,
        keptHashes: matched.length,
        bases,
      });
    } catch (error) {
      signal?.throwIfAborted();
      this.#problems.push(problemOf(asProblem(error), base.manifest.base.name));
    }
  }

  /** The heads once more: together they would take much memory. */
  async *#soundOnes(range: RestorableRange): AsyncGenerator<StoredSegment, void> {
    const wanted = new Set(range.segments.map(({ name }) => name));
    const after = range.from.revision - 1n;
    for await (const one of this.#sources.log.list(this.#chain, { after, signal: this.#options.signal })) {
      if (one.state === 'sound' && wanted.has(one.name)) yield one;
    }
  }

  /** Later bases came from members: their HashKV is that of the merged history, or one of both is wrong. */
  #sameBases(verdict: SnapshotVerdict, later: RestorableRange['bases']): string[] {
    const comparable = later.filter(
      (base) =>
        base.manifest.snapshot.hashKV.compactRevision >= verdict.compactRevision && !isSynthetic(base),
    );
    const same: string[] = [];
    for (const { id, manifest } of comparable.slice(-MOST_COMPARED)) {
      const { hash, revision, compactRevision } = manifest.snapshot.hashKV;
      const found = verdict.hashKVAt({ revision, compactRevision });
      if (found === hash) same.push(id);
      else {
        const message = `at revision ${revision} the merged history has HashKV ${found}, but backup ${id} has ${hash}`;
        const hint = 'One of them is wrong: verify the backup, and compare the members of the cluster.';
        this.#problems.push({ code: 'merge.hash-mismatch', message, object: manifest.base.name, hint });
      }
    }
    return same;
  }

  #warnUseless(): void {
    const object = segmentsFolder(this.#chain);
    const message = 'no base that can be used reaches any of the segments';
    this.#warnings.push({ code: 'repository.no-base', message, object });
  }

  async #storedSize(): Promise<number> {
    let total = 0;
    const { signal, onProgress } = this.#options;
    if (onProgress === undefined) return total;
    for await (const { size } of this.#sources.settings.store.list(segmentsFolder(this.#chain), { signal }))
      total += size;
    return total;
  }
}

interface Checked {
  readonly listed: ListedSegment;
  readonly problem: GuardianError | undefined;
}

/** While some wait for the store, others are hashed and decoded. */
const SEGMENTS_AT_ONCE = 4;

/** Each takes a pass over all entries. */
const MOST_COMPARED = 16;

async function readToEnd(source: AsyncIterable<unknown>): Promise<void> {
  const parts = source[Symbol.asyncIterator]();
  while ((await parts.next()).done !== true) continue;
}

/** One that was itself merged from segments proves nothing about them. */
function isSynthetic({ manifest }: RestorableRange['bases'][number]): boolean {
  return manifest.synthetic !== undefined;
}

/** Rethrows what is no fault of the chain: a store that can't be read at the moment, a key that wasn't given, the disk. */
function asProblem(error: unknown): GuardianError {
  if (!(error instanceof GuardianError) || error.retryable) throw error;
  if (error.code === 'encryption.key-missing' || error.code.startsWith('disk.')) throw error;
  return error;
}

function outvotedHash(hash: DifferingHash): VerifyProblem {
  const message = `${textOf(hash)}; most members had what is merged`;
  const hint = 'That member held wrong data: compare "etcdctl endpoint hashkv --cluster", and replace it.';
  return { code: 'merge.hash-outvoted', message, object: hash.segment.name, hint };
}

function problemOf({ code, message, hint }: GuardianError, object: string): VerifyProblem {
  return { code, message, object, hint };
}
