import type { EntryBatch } from '../etcd/bolt/entry-batch.ts';
import { GuardianError } from '../guardian-error.ts';
import type { CallOptions } from './call-options.ts';
import type { Manifest } from './manifest.ts';
import type { SegmentHead } from './segment-head.ts';

/**
 * Segments: what a capture saw after a base. They stand in the folder of the chain whose base the capture began with,
 * and serve every base of the timeline that lies in their range, also ones taken later. Rejects as `Repository` does.
 */
export interface SegmentLog {
  /**
   * The chains of a timeline that hold segments, by where they begin, also those whose base was removed or can't be
   * read. Names only: nothing of them was read.
   */
  chains(cluster: string, timeline: string, options?: CallOptions): Promise<SegmentedChain[]>;

  /**
   * Where a capture of this cluster can go on: on the newest timeline, the newest chain with segments first, then the
   * newest base behind its end. Empty where there is no base yet.
   */
  tails(cluster: string, options?: CallOptions): Promise<ChainTail[]>;

  /** The tail of the chain that a backup just committed begins. */
  tailOf(backup: ChainBase): ChainTail;

  /**
   * Seals, signs and stores the next segment of a chain, with put-if-absent under a name that holds `tail.revision`.
   * Resolves to the new tail. A reply that was lost is recognised as ours, also by a later call with the same draft.
   * Rejects with `repository.chain-taken` (a `ChainTakenError`) when another writer's segment stands there, and with
   * `repository.segment-place` when the draft doesn't follow the tail.
   */
  append(tail: ChainTail, draft: SegmentDraft, options?: AppendOptions): Promise<ChainTail>;

  /**
   * The segments of a chain from the one that holds revision `after` + 1 on, in order of revisions, heads only. Ends
   * where the chain ends; a missing, damaged, forged or misplaced one is yielded as a `BrokenSegment`, and what stands
   * behind it follows. Of segments missing before the first one that stands nothing is known, so nothing is told: see
   * its `from` and `index`.
   */
  list(chain: ChainPlace, options?: CallOptions & { readonly after?: bigint }): AsyncIterable<ListedSegment>;

  /** The last segment of a chain that can be trusted; undefined where there is none. */
  last(chain: ChainPlace, options?: CallOptions): Promise<StoredSegment | undefined>;

  /**
   * The entries of a segment as they belong into etcd's bucket `key`, in order. Rejects part-way as soon as the bytes
   * can't be the right ones; what was read counts only once the iteration has ended without error.
   */
  read(segment: StoredSegment, options?: CallOptions): AsyncIterable<EntryBatch>;
}

export interface AppendOptions extends CallOptions {
  /** The store keeps the object undeletable until then. */
  readonly retainUntil?: Date | undefined;
}

/** The folder that segments stand in; named by the id of the base that the capture began with. */
export interface ChainPlace {
  readonly cluster: string;
  readonly timeline: string;
  readonly id: string;
}

/** A chain that holds segments. */
export interface SegmentedChain extends ChainPlace {
  /** The revision in its first segment's name: that of its base. */
  readonly from: bigint;
}

/** What a chain begins with: every sound backup. */
export interface ChainBase extends ChainPlace {
  readonly manifest: Pick<Manifest, 'etcd' | 'snapshot'> & {
    readonly base: Pick<Manifest['base'], 'recipients'>;
  };
  readonly manifestSha256: string;
}

/** The end of a chain: what the next segment follows. */
export interface ChainTail extends ChainPlace {
  readonly etcdClusterId: bigint;
  /** Everything up to here is in the store: the last segment's `to`, or the base's revision. */
  readonly revision: bigint;
  /** Of the last segment as stored, or of the base's manifest: what the next one names as its predecessor. */
  readonly predecessor: string;
  /** Of the next segment, from 0. */
  readonly index: number;
  /** Who can open what stands before: the last segment, or the base. */
  readonly recipients: Manifest['base']['recipients'];
  /** The last segment; undefined while there is only a base. */
  readonly last: StoredSegment | undefined;
  /** Names behind the end that hold nothing of use, the last first: somebody put them there; absent: none. */
  readonly passedOver?: readonly string[];
}

export interface StoredSegment {
  readonly name: string;
  /** Bytes of the object as stored. */
  readonly size: number;
  /** Of the head document: names this very segment, and is what its successor holds of it. */
  readonly sha256: string;
  readonly head: SegmentHead;
}

/**
 * A segment that can't be used: points behind it are out of reach of bases before it, unless the sound ones around it
 * join (`to` of the one is `from` of the next), and it is only something that was put between them.
 */
export interface BrokenSegment {
  readonly name: string;
  /** The revision in its name: that of the base in a chain's first segment, else its `from`. */
  readonly from: bigint;
  readonly problem: Error;
}

export type ListedSegment =
  ({ readonly state: 'sound' } & StoredSegment) | ({ readonly state: 'broken' } & BrokenSegment);

/**
 * What is to become a segment: batches already compressed. Built by `startSegment`. `from` may lie before the base's
 * revision in a chain's first segment: whoever merges passes over what the base holds.
 */
export interface SegmentDraft {
  /** Exclusive; the tail's revision. In a chain's first segment it may be below, if `to` is above. */
  readonly from: bigint;
  /** Inclusive. */
  readonly to: bigint;
  /** Times before that of the segment before are raised to it when it is stored: a clock may step back. */
  readonly facts: SegmentFacts;
  /** The compressed batches, one frame each. */
  readonly frames: readonly Uint8Array[];
}

/** What whoever captured tells; the rest of the head is the log's own knowledge. */
export type SegmentFacts = Pick<
  SegmentHead,
  | 'writer'
  | 'openedAt'
  | 'events'
  | 'puts'
  | 'plainSize'
  | 'batches'
  | 'times'
  | 'leases'
  | 'proofs'
  | 'clockSteps'
  | 'gap'
>;

/** Another writer's segment stands where ours should: the chain goes on with that one. */
export class ChainTakenError extends GuardianError {
  /** Undefined when it can't be read or trusted, or doesn't follow what it should; `cause` says why. */
  readonly winner: StoredSegment | undefined;

  constructor(name: string, winner: StoredSegment | undefined, problem?: unknown) {
    const whose = winner === undefined ? 'nobody known' : `writer ${hexId(winner.head.writer.id)}`;
    super('repository.chain-taken', `${name} is there already, written by ${whose}`, {
      hint:
        winner === undefined
          ? 'Find out who writes to the store; a new base begins a new chain.'
          : 'Two captures of one cluster write to one store: run only one.',
      cause: problem,
    });
    this.winner = winner;
  }
}

function hexId(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}
