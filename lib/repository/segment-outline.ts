import type { BrokenSegment, ListedSegment, StoredSegment } from './chain.ts';
import type { ClockStep } from './clock-steps.ts';
import type { SegmentHead } from './segment-head.ts';
import { TimeMap } from './time-map.ts';

/** What a list of points keeps of a segment: its head is many times larger. */
export interface SegmentOutline {
  readonly state: 'sound';
  /** Id of its chain. */
  readonly chain: string;
  readonly name: string;
  /** Bytes of the object as stored. */
  readonly size: number;
  /** Of the head document. */
  readonly sha256: string;
  /** The revision in its name: that of the base in a chain's first segment, else its `from`. */
  readonly follows: bigint;
  /** Exclusive. */
  readonly from: bigint;
  /** Inclusive. */
  readonly to: bigint;
  readonly times: TimeMap;
  /** By the writer's clock as it was, in milliseconds since 1970. */
  readonly openedAtMs: number;
  readonly sealedAtMs: number;
  /** The process that wrote it, if that held its clock against one that nobody sets. */
  readonly watchedBy: bigint | undefined;
  /** Undefined: none are known up to its end. */
  readonly clockSteps: readonly ClockStep[] | undefined;
  readonly gap: SegmentHead['gap'];
}

export interface BrokenOutline extends BrokenSegment {
  readonly state: 'broken';
  /** Id of its chain. */
  readonly chain: string;
}

export type ListedOutline = SegmentOutline | BrokenOutline;

/** The revision in a segment's name. */
export function followsOf(segment: ListedOutline): bigint {
  return segment.state === 'sound' ? segment.follows : segment.from;
}

export function outlineOf(chain: string, listed: ListedSegment): ListedOutline {
  return listed.state === 'broken' ? { ...listed, chain } : outlineOfSound(chain, listed);
}

function outlineOfSound(chain: string, { name, size, sha256, head }: StoredSegment): SegmentOutline {
  const { from, to, base: follows = from, openedAt, sealedAt, clockSteps, writer, gap } = head;
  return {
    ...{ state: 'sound', chain, name, size, sha256, follows, from, to, times: new TimeMap(head), gap },
    ...{ openedAtMs: openedAt.getTime(), sealedAtMs: sealedAt.getTime() },
    watchedBy: clockSteps === undefined ? undefined : writer.id,
    clockSteps: clockSteps?.length === 0 ? undefined : clockSteps,
  };
}

/**
 * Which of the segments to take, one behind the other, to have everything above a revision. Of several that go on from
 * there it takes the one that reaches furthest: chains may overlap.
 */
export class SegmentCover {
  readonly #sound: readonly SegmentOutline[];
  #next = 0;

  /** `segments`: ascending by `from`. */
  constructor(segments: readonly ListedOutline[]) {
    this.#sound = segments.filter((segment) => segment.state === 'sound');
  }

  /** As far as they reach without a hole. Calls must ask for ascending revisions, none below where the last one ended. */
  above(revision: bigint): SegmentOutline[] {
    const taken: SegmentOutline[] = [];
    let end = revision;
    for (let furthest = this.#furthest(end); furthest !== undefined; furthest = this.#furthest(end)) {
      taken.push(furthest);
      end = furthest.to;
    }
    return taken;
  }

  #furthest(end: bigint): SegmentOutline | undefined {
    let furthest: SegmentOutline | undefined;
    for (; (this.#sound[this.#next]?.from ?? end + 1n) <= end; this.#next++) {
      const segment = this.#sound[this.#next];
      if (segment !== undefined && segment.to > (furthest?.to ?? end)) furthest = segment;
    }
    return furthest;
  }
}
