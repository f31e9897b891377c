import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { crc32c } from '../../etcd/crc32c.ts';
import { keyOf, valueOf } from '../../etcd/bolt/entry-batch.ts';
import { decodeRevisionKey } from '../../etcd/mvcc/revision.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { ChainTail, SegmentLog, StoredSegment } from '../../repository/chain.ts';
import type { Anchor } from '../../repository/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Mark } from './revision-order.ts';
import type { ChainWord, Gap } from './ship-segments.ts';

/** Where watching begins, and what whoever stores is told of it. */
export interface CapturePosition {
  readonly clusterId: bigint;
  readonly after: bigint;
  readonly mark: Mark | undefined;
  readonly word: ChainWord;
}

/** What looking into the store needs. */
export type PositionStore = Pick<Repository, 'find'> & {
  readonly segments: Pick<SegmentLog, 'tails' | 'read'>;
};

/** Behind the end of a chain; `gap` when it isn't the one that capture last extended. */
export async function positionBehind(
  repository: PositionStore,
  tail: ChainTail,
  gap: Gap | undefined,
  signal: AbortSignal,
): Promise<CapturePosition> {
  const mark =
    tail.last === undefined
      ? await newestAnchor(repository, tail, signal)
      : await lastEntry(repository, tail.last, signal);
  return { clusterId: tail.etcdClusterId, after: tail.revision, mark, word: { kind: 'resume', tail, gap } };
}

/** What etcd holds now: a base is needed. Rejects with the members' error when none answers. */
export async function positionNow(
  client: Pick<EtcdClient, 'statuses'>,
  gap: Gap | undefined,
  signal: AbortSignal,
): Promise<CapturePosition> {
  const statuses = await client.statuses({ signal });
  const headers = statuses.flatMap(({ status }) => (status === undefined ? [] : [status.header]));
  const [first] = headers;
  if (first === undefined)
    throw statuses[0]?.error ?? new GuardianError('etcd.settings', 'no endpoint of etcd is given');
  const revisions = headers
    .filter(({ clusterId }) => clusterId === first.clusterId)
    .map(({ revision }) => revision);
  const highest = revisions.reduce((a, b) => (a > b ? a : b));
  // The base may come from any member: from the hindmost one on, nothing can lie between base and watch.
  const after = revisions.reduce((a, b) => (b < a && b > highest - MOST_BEHIND ? b : a), highest);
  const { clusterId } = first;
  return { clusterId, after, mark: undefined, word: { kind: 'begin', after, clusterId, gap } };
}

/** A member further behind isn't read: there may be no history any more from its revision on. */
const MOST_BEHIND = 1000n;

async function newestAnchor(
  repository: PositionStore,
  { cluster, id }: ChainTail,
  signal: AbortSignal,
): Promise<Anchor | undefined> {
  const { backup } = await repository.find(cluster, id, { signal });
  return backup.manifest.anchors.reduce<Anchor | undefined>(
    (newest, anchor) => (newest === undefined || anchor.main > newest.main ? anchor : newest),
    undefined,
  );
}

/** Of a segment's last revision the last put, or else the last deletion. */
async function lastEntry(
  { segments }: PositionStore,
  segment: StoredSegment,
  signal: AbortSignal,
): Promise<Mark | undefined> {
  let last: Mark | undefined;
  for await (const batch of segments.read(segment, { signal })) {
    for (let at = 0; at < batch.count; at++) {
      const [key, value] = [keyOf(batch, at), valueOf(batch, at)];
      const revision = decodeRevisionKey(key);
      if (revision?.main !== segment.head.to || (revision.tombstone && last?.tombstone === false)) continue;
      const { main, sub, tombstone } = revision;
      last = { main, sub, checksum: crc32c(value, crc32c(key)), size: key.length + value.length, tombstone };
    }
  }
  return last;
}
