import type { StoredObject } from '../storage/object-store.ts';
import type { ChainPlace } from './chain.ts';
import type { RepositorySettings, SweepOptions } from './repository.ts';
import { listTrimMarks, markTrim, readTrims } from './trims.ts';
import { isTrimmed, type TrimmedSegments } from './trimmed-segments.ts';

/** So many of a chain's trims are kept, in case the last ones can't be read any more: each tells all of them. */
const TRIMS_TO_KEEP = 8;

/** Tells which segments are to be deleted, and which documents of trims nobody needs any more. */
export class TrimSweep {
  readonly #settings: RepositorySettings;
  readonly #options: SweepOptions;
  #marks: { readonly timeline: string; readonly byChain: Map<string, StoredObject[]> } | undefined;

  constructor(settings: RepositorySettings, options: SweepOptions) {
    this.#settings = settings;
    this.#options = options;
  }

  /**
   * Of the segments of a chain, with the revisions in their names, those that were removed longer ago than the grace.
   * Says so in the chain's trims before, so that they can't be had back any more.
   */
  async due(
    chain: ChainPlace,
    segments: readonly { readonly object: StoredObject; readonly follows: bigint }[],
  ): Promise<{ readonly object: StoredObject; readonly reason: string }[]> {
    const { clock, tool } = this.#settings;
    const { signal, dryRun = false } = this.#options;
    const now = clock();
    const isDue = (one: TrimmedSegments): boolean => one.swept || one.deleteAfter <= now;
    let { trimmed } = await readTrims(this.#settings, await this.#marksOf(chain), signal);
    const isNew = trimmed.some((one) => !one.swept && isDue(one));
    if (isNew && !dryRun) {
      ({ trimmed } = await markTrim(this.#settings, chain, { action: 'sweep' }, { by: tool }, signal));
      trimmed = trimmed.filter(({ swept }) => swept);
    }
    const going = trimmed.filter(isDue);
    return segments.flatMap(({ object, follows }) => {
      const why = going.find((one) => isTrimmed([one], follows));
      return why === undefined ? [] : [{ object, reason: `trimmed ${why.at.toISOString()} by ${why.by}` }];
    });
  }

  /** The documents of a chain that say nothing that a later one doesn't. */
  async superseded(chain: ChainPlace): Promise<readonly StoredObject[]> {
    const state = await readTrims(this.#settings, await this.#marksOf(chain), this.#options.signal);
    return state.superseded.slice(0, Math.max(0, state.superseded.length - TRIMS_TO_KEEP));
  }

  async #marksOf({ cluster, timeline, id }: ChainPlace): Promise<readonly StoredObject[]> {
    const key = `${cluster}/${timeline}`;
    if (this.#marks?.timeline !== key) {
      const byChain = await listTrimMarks(this.#settings, cluster, timeline, this.#options.signal);
      this.#marks = { timeline: key, byChain };
    }
    return this.#marks.byChain.get(id) ?? [];
  }
}
