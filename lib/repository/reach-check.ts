import { GuardianError, hasCode } from '../guardian-error.ts';
import type { ChainPlace } from './chain.ts';
import { PointUnavailableError } from './choose-point.ts';
import { damagedDocument } from './document.ts';
import { newestOnTimeline } from './list-backups.ts';
import { baseOf, readHead, startAt } from './list-segments.ts';
import { orderedAhead } from './ordered-ahead.ts';
import { revisionOf } from './point-spans.ts';
import type { Reach, ReachCheck, ReachOptions, RestorePoints } from './points.ts';
import { readStoredSegment } from './read-segment.ts';
import type { RepositorySettings, SoundBackup } from './repository.ts';
import { type LinkedSegment, missingSegment, SegmentLinks, type SoundOrBroken } from './segment-links.ts';
import { type NamedSegment, namedSegments } from './segment-names.ts';
import { asSegmentProblem, readSegmentHead } from './segment-object.ts';
import { basesAmong } from './timeline-content.ts';
import { trimsOf } from './trims.ts';
import { isTrimmed } from './trimmed-segments.ts';

/** See `RestorePoints.reachCheck`; `find` is its own. */
export function reachCheck(settings: RepositorySettings, find: RestorePoints['find']): ReachCheck {
  return new Checker(settings, find);
}

/** What is remembered of a segment: it is read again only when the store shows another version of it. */
interface Seen {
  readonly version: string;
  readonly size: number;
  readonly read: SoundOrBroken<LinkedSegment>;
  /** Its head is right, and its bytes are not. */
  readonly isDamaged: boolean;
}

/** One look at the store. */
interface Look {
  readonly reached: bigint;
  readonly problem: GuardianError | undefined;
  /** Names of the segments that carry the points, in order. */
  readonly carrying: readonly string[];
}

class Checker implements ReachCheck {
  readonly #settings: RepositorySettings;
  readonly #find: RestorePoints['find'];
  #seen = new Map<string, Seen>();
  /** The segment that was read whole last. */
  #readLast = '';

  constructor(settings: RepositorySettings, find: RestorePoints['find']) {
    this.#settings = settings;
    this.#find = find;
  }

  async look(chain: ChainPlace, upTo: bigint, { bodyBytes = 0, signal }: ReachOptions = {}): Promise<Reach> {
    // 1. What is remembered, with what is new.
    let found = await this.#lookOnce(chain, upTo, signal);
    let bytesRead = 0;
    if (found.problem === undefined) {
      // 2. A few segments whole, others each time.
      const bodies = await this.#readBodies(found.carrying, bodyBytes, signal);
      bytesRead = bodies.bytes;
      if (bodies.damaged) found = await this.#lookOnce(chain, upTo, signal);
    } else {
      // What looks wrong is looked at anew, in case it was the store that was wrong.
      this.#seen = new Map([...this.#seen].filter(([, { isDamaged }]) => isDamaged));
      found = await this.#lookOnce(chain, upTo, signal);
    }
    // 3. Other chains may hold what this one lacks.
    const { reached, problem, carrying } = found;
    const isElsewhere =
      problem?.code === 'repository.missing' && (await this.#isReachable(chain, upTo, signal));
    return {
      reached: isElsewhere ? upTo : reached,
      problem: isElsewhere ? undefined : problem,
      ...{ segments: carrying.length, bytesRead },
    };
  }

  async #lookOnce(chain: ChainPlace, upTo: bigint, signal: AbortSignal | undefined): Promise<Look> {
    const base = await this.#newestBase(chain, upTo, signal);
    if (base === undefined) return { reached: 0n, problem: withoutBase(chain, upTo), carrying: [] };
    const from = revisionOf(base);
    const problem = await this.#faultOfBase(base, signal);
    if (problem !== undefined) return { reached: from, problem, carrying: [] };
    if (from >= upTo) return { reached: from, problem: undefined, carrying: [] };

    const { trimmed } = await trimsOf(this.#settings, chain, signal);
    const broken = new Map<bigint, Error>();
    const carrying: string[] = [];
    let reached = from;
    for await (const one of this.#listed(chain, from, signal)) {
      if (one.state === 'broken') {
        if (!broken.has(one.from)) broken.set(one.from, one.problem);
      } else if (one.head.from <= reached && one.head.to > reached) {
        if (isTrimmed(trimmed, one.head.base ?? one.head.from)) continue;
        reached = one.head.to;
        carrying.push(one.name);
      }
    }
    if (reached >= upTo) return { reached, problem: undefined, carrying };
    const fault = broken.get(reached) ?? missingSegment(chain, reached).problem;
    return { reached, problem: asGuardian(fault), carrying };
  }

  async #newestBase(
    { cluster, timeline }: ChainPlace,
    upTo: bigint,
    signal: AbortSignal | undefined,
  ): Promise<SoundBackup | undefined> {
    const newest = (most: number) => newestOnTimeline(this.#settings, { cluster, timeline }, most, signal);
    for (const most of [BASES_TO_ASK, Infinity]) {
      const present = (await newest(most)).filter(({ removal }) => removal === undefined);
      const base = basesAmong(present).bases.findLast((one) => revisionOf(one) <= upTo);
      if (base !== undefined) return base;
    }
    return undefined;
  }

  /** Its bytes are `verify`'s work. */
  async #faultOfBase(
    { manifest }: SoundBackup,
    signal: AbortSignal | undefined,
  ): Promise<GuardianError | undefined> {
    const { name, storedSize } = manifest.base;
    try {
      const { size } = await this.#settings.store.stat(name, { signal });
      if (size === storedSize) return undefined;
      return damagedDocument(name, `it has ${size} bytes, not the ${storedSize} that its manifest says`);
    } catch (error) {
      if (!hasCode(error, 'store.not-found')) throw error;
      return new GuardianError('repository.base-missing', `${name} is gone, and its manifest still stands`, {
        cause: error,
      });
    }
  }

  /** The segments from the one on that holds what follows the revision. */
  async *#listed(
    chain: ChainPlace,
    after: bigint,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<SoundOrBroken<LinkedSegment>, void> {
    const still = new Map<string, Seen>();
    const read = async (named: NamedSegment): Promise<SoundOrBroken<LinkedSegment>> => {
      const seen = still.get(named.object.name) ?? (await this.#see(named, signal));
      still.set(named.object.name, seen);
      return seen.read;
    };
    const { store } = this.#settings;
    const start = await startAt(store, chain, after, read, signal);
    const links = new SegmentLinks<LinkedSegment>(chain, () => baseOf(this.#settings, chain, signal));
    const names = namedSegments(store, chain, start, signal);
    for await (const found of orderedAhead(names, READS_AT_ONCE, read)) yield* await links.place(found);
    this.#seen = still;
  }

  async #see(named: NamedSegment, signal: AbortSignal | undefined): Promise<Seen> {
    const { name, version, size } = named.object;
    const seen = this.#seen.get(name);
    if (seen?.version === version && seen.size === size) return seen;
    const found = await readHead(this.#settings, named, signal);
    const read = found.state === 'broken' ? found : ({ state: 'sound', ...linkOf(found) } as const);
    return { version, size, read, isDamaged: false };
  }

  /** Reads on from where the last look ended, round and round, at least one segment; remembers what is damaged. */
  async #readBodies(
    carrying: readonly string[],
    budget: number,
    signal: AbortSignal | undefined,
  ): Promise<{ bytes: number; damaged: boolean }> {
    let bytes = 0;
    if (budget === 0) return { bytes, damaged: false };
    const next = carrying.findIndex((name) => name > this.#readLast);
    const inTurn = next === -1 ? carrying : [...carrying.slice(next), ...carrying.slice(0, next)];
    for (const name of inTurn) {
      const seen = this.#seen.get(name);
      if (seen?.read.state !== 'sound') continue;
      if (bytes > 0 && bytes + seen.size > budget) break;
      bytes += seen.size;
      this.#readLast = name;
      const problem =
        (await this.#damageOf(name, seen.size, signal)) && (await this.#damageOf(name, seen.size, signal));
      if (problem === undefined) continue;
      const { base, from } = seen.read.head;
      const read = { state: 'broken', name, from: base ?? from, problem } as const;
      this.#seen.set(name, { ...seen, read, isDamaged: true });
      return { bytes, damaged: true };
    }
    return { bytes, damaged: false };
  }

  async #damageOf(
    name: string,
    size: number,
    signal: AbortSignal | undefined,
  ): Promise<GuardianError | undefined> {
    try {
      const segment = await readSegmentHead(this.#settings, { name, size }, signal);
      const bytes = readStoredSegment(this.#settings, segment, signal)[Symbol.asyncIterator]();
      while ((await bytes.next()).done !== true) continue;
      return undefined;
    } catch (error) {
      signal?.throwIfAborted();
      const problem = asSegmentProblem(error, name);
      if (!(problem instanceof GuardianError) || problem.retryable) throw problem;
      return problem;
    }
  }

  async #isReachable(
    { cluster, timeline }: ChainPlace,
    upTo: bigint,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    try {
      await this.#find(cluster, { kind: 'revision', revision: upTo }, { timeline, signal });
      return true;
    } catch (error) {
      if (error instanceof PointUnavailableError) return false;
      throw error;
    }
  }
}

/** The newest by id; more are read only where none of them can be used. */
const BASES_TO_ASK = 4;
const READS_AT_ONCE = 8;

function linkOf({ name, sha256, head }: LinkedSegment): LinkedSegment {
  const { from, to, base, index, predecessor, etcdClusterId } = head;
  return { name, sha256, head: { from, to, base, index, predecessor, etcdClusterId } };
}

function asGuardian(error: Error): GuardianError {
  return error instanceof GuardianError ? error : damagedDocument('a segment', error.message, error);
}

function withoutBase({ timeline }: ChainPlace, upTo: bigint): GuardianError {
  return new GuardianError(
    'repository.no-base',
    `timeline ${timeline} has no base at or below revision ${upTo} that can be used`,
  );
}
