import { type EntryBatch, sliceOf } from '../etcd/bolt/entry-batch.ts';
import type { LeaseChange } from '../etcd/mvcc/lease-table.ts';
import { readMain } from '../etcd/mvcc/revision.ts';
import { GuardianError } from '../guardian-error.ts';
import type { CallOptions } from './call-options.ts';
import type { SegmentLog, StoredSegment } from './chain.ts';
import { orderedAhead } from './ordered-ahead.ts';
import type { BackupPlace } from './repository.ts';
import type { SegmentHead } from './segment-head.ts';

/** A hash that a member had kept from a compaction. */
export type KeptHash = SegmentHead['proofs'][number];

/** The same, and the segment whose head tells it. */
export type RecordedHash = KeptHash & { readonly segment: StoredSegment };

/** Segments that begin to be read before their turn: a store may take long to answer. */
const AHEAD = 3;

/**
 * What segments hold between two revisions, read from one to the next; also what their heads tell. They come by where
 * they begin and may overlap, as those of several chains do.
 */
export class SegmentsBetween {
  /** Of those read so far. */
  readonly leases: LeaseChange[] = [];
  readonly proofs: RecordedHash[] = [];
  /** The last one that was read from. */
  last: StoredSegment | undefined;

  readonly #log: Pick<SegmentLog, 'read'>;
  readonly #place: Pick<BackupPlace, 'cluster' | 'timeline'>;
  readonly #until: bigint;
  /** Everything up to here was read. */
  #reached: bigint;

  constructor(
    log: Pick<SegmentLog, 'read'>,
    place: Pick<BackupPlace, 'cluster' | 'timeline'>,
    after: bigint,
    until: bigint,
  ) {
    this.#log = log;
    this.#place = place;
    this.#reached = after;
    this.#until = until;
  }

  /**
   * The entries above the first revision, in order, each once; those of the last segment go on behind the second one.
   * Rejects with `merge.gap` where a revision up to the second one is missing, with `repository.misplaced`, and as
   * `SegmentLog.read` does.
   */
  async *entries(
    segments: Iterable<StoredSegment> | AsyncIterable<StoredSegment>,
    { signal }: CallOptions,
  ): AsyncGenerator<EntryBatch, void> {
    const open = new Set<AsyncIterator<EntryBatch>>();
    const start = async (segment: StoredSegment): Promise<StartedSegment> => {
      const batches = this.#log.read(segment, { signal })[Symbol.asyncIterator]();
      open.add(batches);
      return { segment, batches, first: await batches.next() };
    };
    try {
      for await (const { segment, batches, first } of orderedAhead(this.#wanted(segments), AHEAD, start)) {
        const after = Number(this.#begin(segment));
        for (let next = first; next.done !== true; next = await batches.next()) {
          const from = firstAbove(next.value, after);
          if (from < next.value.count) yield sliceOf(next.value, from, next.value.count);
        }
        open.delete(batches);
      }
    } finally {
      for (const batches of open) await batches.return?.();
    }
  }

  /** Those that have something to tell, as long as that is wanted. */
  async *#wanted(
    segments: Iterable<StoredSegment> | AsyncIterable<StoredSegment>,
  ): AsyncGenerator<StoredSegment, void> {
    let reached = this.#reached;
    for await (const segment of segments) {
      if (reached >= this.#until) return;
      if (segment.head.to <= reached) continue;
      this.#requirePlace(segment);
      if (segment.head.from > reached) throw missing(reached, segment.head.from);
      reached = segment.head.to;
      yield segment;
    }
    if (reached < this.#until) throw missing(reached, this.#until);
  }

  #requirePlace({ name, head }: StoredSegment): void {
    const { cluster, timeline } = this.#place;
    if (head.cluster === cluster && head.timeline === timeline) return;
    throw new GuardianError(
      'repository.misplaced',
      `${name} belongs to timeline ${head.timeline} of cluster ${head.cluster}, not to ${timeline} of ${cluster}`,
    );
  }

  /** Takes over what its head tells, and gives back the revision above which its entries are new. */
  #begin(segment: StoredSegment): bigint {
    const after = this.#reached;
    const { to, proofs, leases } = segment.head;
    this.#reached = to;
    this.last = segment;
    for (const proof of proofs) {
      if (proof.revision <= this.#until) this.proofs.push({ ...proof, segment });
    }
    // Of what ended somewhere in the segment, nobody knows whether it was before or after a revision within it.
    const isWhole = to <= this.#until;
    const { complete, granted, gone } = leases;
    this.leases.push({ complete: complete && isWhole, granted, gone: isWhole ? gone : [] });
    return after;
  }
}

interface StartedSegment {
  readonly segment: StoredSegment;
  readonly batches: AsyncIterator<EntryBatch>;
  readonly first: IteratorResult<EntryBatch, unknown>;
}

function firstAbove(batch: EntryBatch, revision: number): number {
  let index = 0;
  while (index < batch.count && readMain(batch.bytes, batch.keyStarts[index] ?? 0) <= revision) index++;
  return index;
}

function missing(after: bigint, until: bigint): GuardianError {
  return new GuardianError('merge.gap', `no segment holds revisions ${after + 1n} to ${until}`, {
    hint: 'See what can be restored with "etcdguardian points list".',
  });
}
