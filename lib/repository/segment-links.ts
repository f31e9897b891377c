import { GuardianError } from '../guardian-error.ts';
import type { BrokenSegment, ChainPlace, StoredSegment } from './chain.ts';
import { damagedDocument } from './document.ts';
import { segmentName } from './layout.ts';
import type { SegmentHead } from './segment-head.ts';

/** What of a segment tells whether it joins its neighbours. */
export interface LinkedSegment extends Pick<StoredSegment, 'name' | 'sha256'> {
  readonly head: Pick<SegmentHead, 'from' | 'to' | 'base' | 'index' | 'predecessor' | 'etcdClusterId'>;
}

export type SoundOrBroken<Segment> =
  ({ readonly state: 'sound' } & Segment) | ({ readonly state: 'broken' } & BrokenSegment);

/** Sees the segments of a chain in the order of names, and tells which of them join. */
export class SegmentLinks<Segment extends LinkedSegment> {
  readonly #chain: ChainPlace;
  readonly #manifestSha256: () => Promise<string | undefined>;
  /** The last one that could be read: what its successor must link to. */
  #last: LinkedSegment | undefined;
  /** True once it was told that nothing usable follows `#last`. */
  #endTold = false;

  /** `manifestSha256`: of the chain's base; undefined where that isn't known any more. */
  constructor(chain: ChainPlace, manifestSha256: () => Promise<string | undefined>) {
    this.#chain = chain;
    this.#manifestSha256 = manifestSha256;
  }

  /** What the next one is among the others, behind what it shows to be missing before it. */
  async place(found: SoundOrBroken<Segment>): Promise<SoundOrBroken<Segment>[]> {
    if (found.state === 'broken') {
      if (found.from === this.#last?.head.to) this.#endTold = true;
      return [found];
    }
    const last = this.#last;
    const { head, name } = found;
    const missing: SoundOrBroken<Segment>[] = [];
    let fault: string | undefined;
    if (last === undefined) fault = await this.#faultOfFirst(found);
    else if (head.from < last.head.to) {
      // It is not followed: what stands behind `last` may still follow that.
      return [broken(name, head.from, `it begins at revision ${head.from}, within ${last.name}`)];
    } else if (head.from === last.head.to) fault = faultOfLink(last, found);
    else {
      if (!this.#endTold) missing.push({ state: 'broken', ...missingSegment(this.#chain, last.head.to) });
      if (head.index <= last.head.index)
        fault = `it is number ${head.index}, behind number ${last.head.index}`;
    }
    this.#last = found;
    this.#endTold = false;
    return [...missing, fault === undefined ? found : broken(name, head.base ?? head.from, fault)];
  }

  async #faultOfFirst({ head }: LinkedSegment): Promise<string | undefined> {
    if (head.index > 0) return undefined;
    const manifest = await this.#manifestSha256();
    if (manifest === undefined || manifest === head.predecessor) return undefined;
    return 'it follows another base than that of its chain';
  }
}

/** What should follow a revision, and isn't there. */
export function missingSegment(chain: ChainPlace, from: bigint): BrokenSegment {
  const name = segmentName(chain, from);
  const problem = new GuardianError('repository.missing', `${name} is gone, or was never written`, {
    hint: 'Points behind it need a base that was made later; a versioned bucket may still hold it.',
  });
  return { name, from, problem };
}

/** Segments that stand side by side. */
function faultOfLink(last: LinkedSegment, { head }: LinkedSegment): string | undefined {
  if (head.predecessor !== last.sha256)
    return `it follows another segment than ${last.name} as that stands there`;
  if (head.index !== last.head.index + 1)
    return `it is number ${head.index}, behind number ${last.head.index}`;
  if (head.etcdClusterId !== last.head.etcdClusterId)
    return 'it is of another etcd cluster than the one before';
  return undefined;
}

function broken(name: string, from: bigint, reason: string): { readonly state: 'broken' } & BrokenSegment {
  return { state: 'broken', name, from, problem: damagedDocument(name, reason) };
}
