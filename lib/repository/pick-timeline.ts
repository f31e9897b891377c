import type { Anchor } from './manifest.ts';

/** Why a timeline began. */
export type TimelineReason =
  'first' | 'restored' | 'cluster-id-changed' | 'revision-went-back' | 'history-differs';

/** An entry of bucket `key`, as a snapshot's verifier tells it. */
export interface HistoryEntry {
  /** CRC-32C of key and value as stored. */
  readonly checksum: number;
  readonly size: number;
}

/** What the repository knows of the newest timeline of a cluster. */
export interface KnownHistory {
  readonly etcdClusterId: bigint;
  /** The highest revision that the cluster is known to have served on this timeline; 0n when unknown. */
  readonly highWater: bigint;
}

/**
 * Why the cluster, as it shows itself now, can't be on the newest known timeline; undefined when it may be.
 * A lower revision counts only for the whole cluster: a single member may lag.
 */
export function breakOfHistory(
  known: KnownHistory | undefined,
  now: { readonly etcdClusterId: bigint; readonly clusterRevision: bigint },
): TimelineReason | undefined {
  if (known === undefined) return 'first';
  if (known.etcdClusterId !== now.etcdClusterId) return 'cluster-id-changed';
  if (now.clusterRevision < known.highWater) return 'revision-went-back';
  return undefined;
}

/**
 * The first anchor that the snapshot contradicts: it holds another entry at that revision, so its history is not the
 * one that the anchors were taken from. An entry that is missing was compacted, which says nothing.
 */
export async function contradictedAnchor(
  anchors: readonly Anchor[],
  entryAt: (revision: Anchor) => HistoryEntry | undefined | Promise<HistoryEntry | undefined>,
): Promise<Anchor | undefined> {
  for (const anchor of anchors) {
    const entry = await entryAt(anchor);
    if (entry !== undefined && (entry.checksum !== anchor.checksum || entry.size !== anchor.size))
      return anchor;
  }
  return undefined;
}
