import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { GuardianError } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import {
  type AppendOptions,
  ChainTakenError,
  type ChainTail,
  type SegmentDraft,
  type StoredSegment,
} from './chain.ts';
import { tailBehind } from './chain-tails.ts';
import { joinedSteps } from './clock-steps.ts';
import { damagedDocument, encodeDocument, FORMAT_VERSION } from './document.ts';
import { segmentName } from './layout.ts';
import { requireEncryptionStays } from './other-keys.ts';
import type { RepositorySettings } from './repository.ts';
import { type SegmentHead, segmentHeadDocument } from './segment-head.ts';
import { decodeSegment, readSegmentHead, segmentFront } from './segment-object.ts';

/** See `SegmentLog.append`. */
export async function appendSegment(
  settings: RepositorySettings,
  tail: ChainTail,
  draft: SegmentDraft,
  options: AppendOptions = {},
): Promise<ChainTail> {
  checkFollows(tail, draft);
  requireEncryptionStays(settings, tail.cluster, tail);
  const name = segmentName(tail, tail.revision);
  const body = await sealed(settings, tail, name, draft, options);
  const front = segmentFront(
    encodeDocument(segmentHeadDocument, headOf(settings, tail, draft, body), settings.signer),
  );
  // What couldn't be read back, or isn't signed by whom we trust, must not be written.
  const segment = decodeSegment(settings, { name, size: front.length + body.length }, front);
  try {
    const { size } = await put(settings, name, Buffer.concat([front, body]), options);
    if (size === segment.size) return tailBehind(segment);
    throw new GuardianError(
      'store.corrupt',
      `${settings.store.location} keeps ${size} bytes of ${name}; ${segment.size} were sent`,
    );
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof GuardianError) || !(error.retryable || error.code === 'store.exists')) throw error;
    return tailBehind(await ours(settings, tail, draft, segment, error, options));
  }
}

function checkFollows(tail: ChainTail, { from, to }: SegmentDraft): void {
  if (from === tail.revision || (tail.index === 0 && from < tail.revision && to > tail.revision)) return;
  throw new GuardianError(
    'repository.segment-place',
    `a segment from revision ${from} to ${to} doesn't follow revision ${tail.revision} of chain ${tail.id}`,
  );
}

/** The body as stored. */
async function sealed(
  { encryption }: RepositorySettings,
  { cluster, timeline }: ChainTail,
  object: string,
  { frames }: SegmentDraft,
  { signal }: AppendOptions,
): Promise<Buffer> {
  if (encryption === undefined) return Buffer.concat(frames);
  const chunks: Uint8Array[] = [];
  for await (const chunk of encryption.seal(inTurn(frames), { cluster, timeline, object }, { signal })) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* inTurn<Item>(items: Iterable<Item>): AsyncGenerator<Item, void> {
  for (const item of items) yield await Promise.resolve(item);
}

function headOf(
  { clock, tool, encryption }: RepositorySettings,
  tail: ChainTail,
  { from, to, facts }: SegmentDraft,
  body: Buffer,
): SegmentHead {
  const floor = tail.last?.head.times.at(-1)?.[1] ?? new Date(0);
  const toldBefore = tail.last?.head.clockSteps;
  return {
    formatVersion: FORMAT_VERSION,
    ...{ cluster: tail.cluster, timeline: tail.timeline, chain: tail.id, index: tail.index, from, to },
    base: tail.index === 0 ? tail.revision : undefined,
    predecessor: tail.predecessor,
    etcdClusterId: tail.etcdClusterId,
    tool,
    ...facts,
    sealedAt: clock(),
    clockSteps: facts.clockSteps === undefined ? toldBefore : joinedSteps(toldBefore ?? [], facts.clockSteps),
    times: facts.times.map(([revision, at]) => [revision, at > floor ? at : floor]),
    storedSize: body.length,
    sha256: createHash('sha256').update(body).digest('hex'),
    recipients: (encryption?.recipients ?? []).map(({ id, kind }) => ({ id, kind })),
  };
}

/** Both refuse a name that is taken; the second is for objects of any size. */
function put(
  { store }: RepositorySettings,
  name: string,
  bytes: Buffer,
  { signal, retainUntil }: AppendOptions,
): Promise<StoredObject> {
  const options = { signal, retainUntil };
  return bytes.length <= SMALL_OBJECT
    ? store.putIfAbsent(name, bytes, options)
    : store.put(name, inTurn([bytes]), options);
}

/** What `putIfAbsent` takes. */
const SMALL_OBJECT = 8 << 20;

/** What stands under the name after a put failed, if it is ours. Rejects with what that means. */
async function ours(
  settings: RepositorySettings,
  tail: ChainTail,
  draft: SegmentDraft,
  written: StoredSegment,
  failure: GuardianError,
  { signal }: AppendOptions,
): Promise<StoredSegment> {
  const { name } = written;
  let found: StoredSegment;
  try {
    found = await readSegmentHead(settings, await settings.store.stat(name, { signal }), signal);
  } catch (error) {
    signal?.throwIfAborted();
    // The put is known to have failed, or its outcome stays unknown until the next attempt.
    if (failure.code !== 'store.exists' || !(error instanceof GuardianError) || error.retryable)
      throw failure;
    throw new ChainTakenError(name, undefined, error);
  }
  if (found.sha256 === written.sha256 || isOfDraft(found.head, draft)) return found;
  const { index, predecessor } = found.head;
  if (index === tail.index && predecessor === tail.predecessor)
    throw new ChainTakenError(name, found, failure);
  const stray = damagedDocument(name, `it doesn't follow what stands before it`, failure);
  throw new ChainTakenError(name, undefined, stray);
}

/** Written by an earlier call with the same draft, whose reply was lost. Ids of writers are random. */
function isOfDraft(head: SegmentHead, { from, to, facts }: SegmentDraft): boolean {
  const { writer, events, plainSize, batches } = head;
  return (
    head.from === from &&
    head.to === to &&
    events === facts.events &&
    plainSize === facts.plainSize &&
    isDeepStrictEqual([writer, batches], [facts.writer, facts.batches])
  );
}
