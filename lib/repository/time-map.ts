import type { SegmentHead } from './segment-head.ts';

/**
 * When the revisions of a segment were seen: its head's `times`, 16 bytes an entry, since a list of points holds those
 * of thousands of segments.
 */
export class TimeMap {
  readonly #revisions: BigInt64Array<ArrayBuffer>;
  /** Milliseconds since 1970, ascending. */
  readonly #seenAt: Float64Array<ArrayBuffer>;

  constructor({ times, to, sealedAt }: Pick<SegmentHead, 'times' | 'to' | 'sealedAt'>) {
    const entries = times.length === 0 ? [[to, sealedAt] as const] : times;
    this.#revisions = BigInt64Array.from(entries, ([revision]) => revision);
    this.#seenAt = Float64Array.from(entries, ([, time]) => time.getTime());
  }

  get first(): Date {
    return this.#at(0);
  }

  get last(): Date {
    return this.#at(this.#seenAt.length - 1);
  }

  /** When everything up to `revision` had been seen, by the first entry that says so. */
  seenAt(revision: bigint): Date {
    const revisions = this.#revisions;
    const index = firstIndex(revisions.length, (at) => (revisions[at] ?? 0n) >= revision);
    return this.#at(Math.min(index, revisions.length - 1));
  }

  /** Up to where everything had been seen at `time`; undefined when the segment's first entry is later. */
  revisionAt(time: Date): bigint | undefined {
    const seenAt = this.#seenAt;
    const ms = time.getTime();
    return this.#revisions[firstIndex(seenAt.length, (at) => (seenAt[at] ?? 0) > ms) - 1];
  }

  /** The last two times that have at least `leastMs` between them; undefined: there are none. */
  holeOf(leastMs: number): { readonly before: Date; readonly after: Date } | undefined {
    const index = this.#seenAt.findLastIndex((at, one) => (this.#seenAt[one + 1] ?? at) - at >= leastMs);
    return index < 0 ? undefined : { before: this.#at(index), after: this.#at(index + 1) };
  }

  #at(index: number): Date {
    return new Date(this.#seenAt[index] ?? 0);
  }
}

/** The first of the indices below `length` at which `holds`, given that it holds at all behind it; `length` if none. */
export function firstIndex(length: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
