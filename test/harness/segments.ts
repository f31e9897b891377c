import type { Clock } from '../../lib/clock.ts';
import { keyOf, valueOf } from '../../lib/etcd/bolt/entry-batch.ts';
import { encodeKeyValue, encodeTombstone } from '../../lib/etcd/mvcc/key-value.ts';
import { encodeRevisionKey } from '../../lib/etcd/mvcc/revision.ts';
import type {
  ChainTail,
  ListedSegment,
  SegmentDraft,
  SegmentLog,
  StoredSegment,
} from '../../lib/repository/chain.ts';
import { type SegmentExtras, startSegment } from '../../lib/repository/start-segment.ts';

export interface SegmentContent {
  readonly from: bigint;
  readonly to: bigint;
  readonly writer?: SegmentDraft['facts']['writer'];
  readonly clock?: Clock;
  readonly extras?: Partial<SegmentExtras>;
  /** Of the puts. */
  readonly value?: Uint8Array;
}

export const CAPTURE = { id: 0x1234n, kind: 'capture', sealIntervalMs: 1000 } as const;
export const CATCH_UP = { id: 0x5678n, kind: 'catch-up', sealIntervalMs: 0 } as const;

/** An entry of bucket `key`, in hex, so that lists of them can be compared. */
export type HexEntry = readonly [key: string, value: string];

/** A segment of made-up events: a put in each revision, in every third one also the deletion of another key. */
export async function segmentDraft({
  from,
  to,
  writer = CAPTURE,
  clock = () => new Date(),
  extras,
  value = Buffer.from('a value'),
}: SegmentContent): Promise<SegmentDraft> {
  const builder = startSegment({ from, writer, clock });
  for (let main = from + 1n; main <= to; main++) {
    for (const { record, tombstone } of eventsAt(main, value)) builder.add(main, record, tombstone);
    builder.endRevision();
  }
  return builder.finish({ leases: { complete: true, granted: [], gone: [] }, proofs: [], ...extras });
}

/** What a merge of `segmentDraft`'s events must hold. */
export function entriesOfSegment(
  from: bigint,
  to: bigint,
  value: Uint8Array = Buffer.from('a value'),
): HexEntry[] {
  const entries: HexEntry[] = [];
  for (let main = from + 1n; main <= to; main++) {
    for (const [sub, { record, tombstone }] of eventsAt(main, value).entries()) {
      const key = encodeRevisionKey({ main, sub: BigInt(sub) }, tombstone);
      entries.push([key.toString('hex'), record.toString('hex')]);
    }
  }
  return entries;
}

/** Appends segments that end at these revisions, one behind the other; resolves to the tails behind each. */
export async function appendSegments(
  log: SegmentLog,
  tail: ChainTail,
  ends: readonly bigint[],
): Promise<ChainTail[]> {
  const tails: ChainTail[] = [];
  let last = tail;
  for (const to of ends) {
    last = await log.append(last, await segmentDraft({ from: last.revision, to }));
    tails.push(last);
  }
  return tails;
}

export async function listed(segments: AsyncIterable<ListedSegment>): Promise<ListedSegment[]> {
  const all: ListedSegment[] = [];
  for await (const segment of segments) all.push(segment);
  return all;
}

export async function readEntries(log: SegmentLog, segments: readonly StoredSegment[]): Promise<HexEntry[]> {
  const entries: HexEntry[] = [];
  for (const segment of segments) {
    for await (const batch of log.read(segment)) {
      for (let index = 0; index < batch.count; index++) {
        entries.push([keyOf(batch, index).toString('hex'), valueOf(batch, index).toString('hex')]);
      }
    }
  }
  return entries;
}

function eventsAt(main: bigint, value: Uint8Array): { record: Buffer; tombstone: boolean }[] {
  const put = encodeKeyValue({
    ...{ key: Buffer.from(`/registry/configmaps/default/c${main % 10n}`), value: Buffer.from(value) },
    ...{ createRevision: main, modRevision: main, version: 1n, lease: 0n },
  });
  const deletion = encodeTombstone(Buffer.from(`/registry/pods/default/p${main % 10n}`));
  return [
    { record: put, tombstone: false },
    ...(main % 3n === 0n ? [{ record: deletion, tombstone: true }] : []),
  ];
}
