import { appendSegment } from './append-segment.ts';
import { chainTails, endOfChain, segmentedChains, tailOf } from './chain-tails.ts';
import type { SegmentLog } from './chain.ts';
import { checkClusterName } from './layout.ts';
import { listSegments } from './list-segments.ts';
import { readSegment } from './read-segment.ts';
import type { RepositorySettings } from './repository.ts';

/** The segments in one store. */
export function segmentLog(settings: RepositorySettings): SegmentLog {
  return {
    chains: (cluster, timeline, options = {}) => {
      checkClusterName(cluster);
      return segmentedChains(settings, cluster, timeline, options.signal);
    },
    tails: (cluster, options = {}) => {
      checkClusterName(cluster);
      return chainTails(settings, cluster, options.signal);
    },
    tailOf,
    append: (tail, draft, options) => appendSegment(settings, tail, draft, options),
    list: (chain, options = {}) => listSegments(settings, chain, options.after, options.signal),
    last: async (chain, options = {}) => (await endOfChain(settings, chain, options.signal))?.tail.last,
    read: (segment, options = {}) => readSegment(settings, segment, options.signal),
  };
}
