import type { KeyGrouping } from '../../lib/etcd/mvcc/snapshot-verdict.ts';

/** Groupings that a verifier thread loads by this module's URL. */

export function groupingOfOne(): KeyGrouping {
  return { groupOf: () => 0, nameOf: () => 'everything' };
}

export function dyingGrouping(): KeyGrouping {
  return {
    groupOf: () => {
      throw new Error('no group for this key');
    },
    nameOf: () => '',
  };
}

export function leavingGrouping(): KeyGrouping {
  return { groupOf: () => process.exit(9), nameOf: () => '' };
}
