import type { CallOptions } from './call-options.ts';
import type { ChainPlace } from './chain.ts';
import type { VerifyProblem } from './verify-problem.ts';

export interface VerifyChainOptions extends CallOptions {
  /**
   * `stored`: documents, links, and every segment as stored; no key needed. `deep`: also opens and decodes every segment.
   */
  readonly depth: 'stored' | 'deep';
  /**
   * With depth `deep`: also merges everything behind each first base, and compares the outcome with the hashes that
   * members kept, and with later bases. Takes room for the database in this folder, unencrypted (mode 0600), until it is
   * over. Left out: nothing is merged.
   */
  readonly mergeIn?: string | undefined;
  /** Stored bytes of segments read so far, and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface ChainReport extends ChainPlace {
  readonly depth: 'stored' | 'deep';
  readonly sound: boolean;
  readonly problems: readonly VerifyProblem[];
  readonly warnings: readonly VerifyProblem[];
  /** Sound ones; what was trimmed isn't looked at. */
  readonly segments: number;
  readonly storedBytes: number;
  /** Bytes of entries that were decoded; 0 with depth `stored`. */
  readonly plainBytes: number;
  readonly merged: readonly MergedRange[];
}

/** A base and the segments behind it, merged and found to be right. */
export interface MergedRange {
  /** Id of the base. */
  readonly base: string;
  readonly from: bigint;
  readonly to: bigint;
  /** Hashes that members had kept, and that the merged history has too. */
  readonly keptHashes: number;
  /** Ids of later bases whose HashKV the merged history has too. */
  readonly bases: readonly string[];
}
